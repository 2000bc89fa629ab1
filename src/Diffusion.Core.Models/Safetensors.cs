using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Saves and loads named tensors as one safetensors file.</summary>
public static class Safetensors
{
    private const long ChunkElements = 1 << 24;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>
    /// Writes a file. The same tensors and metadata give the same bytes, in whatever order they come: the widest types first, then by
    /// name. The file appears whole or not at all; one that is already there is replaced.
    /// </summary>
    /// <param name="path">The file; its folder is made where it is missing.</param>
    /// <param name="tensors">Names and tensors of any shape, device and memory layout; not changed.</param>
    /// <param name="metadata">Strings to store beside them, or null.</param>
    /// <exception cref="ArgumentException">A name that appears twice, is reserved or is not Unicode, or a type that the format does not have.</exception>
    /// <exception cref="IOException">The file cannot be written; nothing stays behind.</exception>
    public static void Save(
        string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        var ordered = Order(tensors);
        var header = Header(ordered, metadata);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(header);
            foreach (var (_, tensor) in ordered)
                Write(stream, tensor);
        });
    }

    /// <summary>Reads every tensor of a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="device">Where the tensors go; the CPU unless said otherwise.</param>
    /// <returns>Name to tensor; the tensors are the caller's.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is damaged; nothing of it is returned.</exception>
    public static Dictionary<string, Tensor> Load(string path, Device? device = null)
    {
        using var file = SafetensorsFile.Open(path);
        return file.ReadAll(device);
    }

    private static List<KeyValuePair<string, Tensor>> Order(IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        var result = new List<KeyValuePair<string, Tensor>>();
        foreach (var (name, tensor) in tensors)
        {
            if (string.IsNullOrEmpty(name) || name == SafetensorsHeader.MetadataKey)
                throw new ArgumentException($"A tensor must have a name other than '{SafetensorsHeader.MetadataKey}', got '{name}'.", nameof(tensors));
            if (!names.Add(name))
                throw new ArgumentException($"Each tensor must have a name of its own, got '{name}' twice.", nameof(tensors));
            if (tensor is null)
                throw new ArgumentException($"Every name must have a tensor, got null for '{name}'.", nameof(tensors));
            if (SafetensorsDtype.Rank(tensor.dtype) < 0)
                throw new ArgumentException(
                    $"Tensor '{name}' must have one of the types {SafetensorsDtype.Names}, got {tensor.dtype}.", nameof(tensors));
            RequireUnicode(name, nameof(tensors));
            result.Add(new(name, tensor));
        }

        result.Sort((a, b) => SafetensorsDtype.Rank(a.Value.dtype) is var left && SafetensorsDtype.Rank(b.Value.dtype) is var right
            && left != right ? left.CompareTo(right) : string.CompareOrdinal(a.Key, b.Key));
        return result;
    }

    private static byte[] Header(List<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        buffer.Write(new byte[SafetensorsHeader.PrefixLength]);
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
                WriteMetadata(json, metadata);
            var offset = 0L;
            foreach (var (name, tensor) in tensors)
            {
                var end = checked(offset + (tensor.numel() * SafetensorsDtype.SizeOf(tensor.dtype)));
                json.WriteStartObject(name);
                json.WriteString("dtype", SafetensorsDtype.NameOf(tensor.dtype));
                WriteNumbers(json, "shape", tensor.shape);
                WriteNumbers(json, "data_offsets", [offset, end]);
                json.WriteEndObject();
                offset = end;
            }

            json.WriteEndObject();
        }

        // Spaces up to a multiple of 8, so that the data is aligned.
        while (buffer.WrittenCount % 8 != 0)
            buffer.Write(" "u8);
        var bytes = buffer.WrittenSpan.ToArray();
        var length = bytes.Length - SafetensorsHeader.PrefixLength;
        if (length > SafetensorsHeader.MaxLength)
            throw new ArgumentException($"The header may have at most {SafetensorsHeader.MaxLength} bytes, got {length}.", nameof(tensors));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)length);
        return bytes;
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

    private static void WriteNumbers(Utf8JsonWriter json, string name, long[] numbers)
    {
        json.WriteStartArray(name);
        foreach (var number in numbers)
            json.WriteNumberValue(number);
        json.WriteEndArray();
    }

    private static void RequireUnicode(string text, string argument)
    {
        try
        {
            StrictUtf8.GetByteCount(text);
        }
        catch (EncoderFallbackException e)
        {
            throw new ArgumentException($"Names and metadata must be valid Unicode, got a lone surrogate at index {e.Index}.", argument, e);
        }
    }

    private static void Write(Stream stream, Tensor tensor)
    {
        using var detached = tensor.detach();
        using var host = detached.cpu();
        using var dense = host.contiguous();
        using var flat = dense.view(-1);
        for (long start = 0, total = flat.numel(); start < total; start += ChunkElements)
        {
            using var piece = flat.narrow(0, start, Math.Min(ChunkElements, total - start));
            stream.Write(piece.bytes);
        }
    }
}
