using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Diffusion.Core.Models;

/// <summary>The layout of a safetensors file to write: the header, and the tensors in the order of their data.</summary>
internal sealed class SafetensorsLayout
{
    private static readonly UTF8Encoding _strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly List<SafetensorsSource> _tensors;
    private readonly byte[] _header;

    /// <summary>Sorts the tensors by the rank of their type and then by name, and creates the header.</summary>
    /// <exception cref="ArgumentException">
    /// A name is duplicated, empty, reserved or not valid Unicode, or the header is too long for the format.
    /// </exception>
    public SafetensorsLayout(IEnumerable<SafetensorsSource> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        _tensors = [.. tensors];
        CheckNames();
        _tensors.Sort((a, b) => a.Type.Rank != b.Type.Rank ? a.Type.Rank.CompareTo(b.Type.Rank) : string.CompareOrdinal(a.Name, b.Name));
        _header = Header(metadata);
    }

    /// <summary>Writes the whole file.</summary>
    public void WriteTo(Stream stream)
    {
        stream.Write(_header);
        foreach (var tensor in _tensors)
            tensor.WriteTo(stream);
    }

    private static void RequireUnicode(string text, string argument)
    {
        try
        {
            _strictUtf8.GetByteCount(text);
        }
        catch (EncoderFallbackException e)
        {
            throw new ArgumentException(
                Invariant($"Names and metadata must be valid Unicode, got a lone surrogate at index {e.Index}."), argument, e);
        }
    }

    private static void WriteMetadata(Utf8JsonWriter json, IReadOnlyDictionary<string, string> metadata)
    {
        json.WriteStartObject(SafetensorsHeader.MetadataKey);
        foreach (var (key, value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (value is null)
                throw new ArgumentException($"Metadata must be strings, got null for '{key}'.", nameof(metadata));
            RequireUnicode(key, nameof(metadata));
            RequireUnicode(value, nameof(metadata));
            json.WriteString(key, value);
        }

        json.WriteEndObject();
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IEnumerable<long> numbers)
    {
        json.WriteStartArray(name);
        foreach (var number in numbers)
            json.WriteNumberValue(number);
        json.WriteEndArray();
    }

    private void CheckNames()
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var name in _tensors.Select(tensor => tensor.Name))
        {
            if (name.Length == 0 || name == SafetensorsHeader.MetadataKey)
                throw new ArgumentException(
                    Invariant($"A tensor must have a name other than '{SafetensorsHeader.MetadataKey}', got '{name}'."));
            if (!names.Add(name))
                throw new ArgumentException($"Each tensor must have a unique name, got '{name}' twice.");
            RequireUnicode(name, "tensors");
        }
    }

    private byte[] Header(IReadOnlyDictionary<string, string>? metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        buffer.Write(new byte[SafetensorsHeader.PrefixLength]);
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
                WriteMetadata(json, metadata);
            var offset = 0L;
            foreach (var tensor in _tensors)
            {
                var end = checked(offset + tensor.ByteCount);
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.Type.Name);
                WriteNumbers(json, "shape", tensor.Shape);
                WriteNumbers(json, "data_offsets", [offset, end]);
                json.WriteEndObject();
                offset = end;
            }

            json.WriteEndObject();
        }

        // The header is padded with spaces to a multiple of 8 bytes, so that the data is aligned.
        while (buffer.WrittenCount % 8 != 0)
            buffer.Write(" "u8);
        var bytes = buffer.WrittenSpan.ToArray();
        var length = bytes.Length - SafetensorsHeader.PrefixLength;
        if (length > SafetensorsHeader.MaxLength)
            throw new ArgumentException(Invariant($"The header may have at most {SafetensorsHeader.MaxLength} bytes, got {length}."));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)length);
        return bytes;
    }
}
