using System.Text.Json;
using System.Text.Unicode;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Reads and validates the header of a safetensors file: the byte range of every tensor is inside the file and has the size that its type
/// and shape require, and the tensors cover the data without gaps or overlaps. Every value is checked before it is used. Unknown types are
/// valid.
/// </summary>
/// <remarks>
/// The file consists of the header length N, 8 bytes in little-endian order, N bytes of JSON, and the data. The JSON maps each name to
/// <c>{"dtype", "shape", "data_offsets": [begin, end]}</c>, where the offsets are relative to the start of the data, and
/// <c>__metadata__</c> to an object of strings.
/// </remarks>
internal sealed class SafetensorsHeader
{
    /// <summary>The key of the metadata, which cannot be the name of a tensor.</summary>
    public const string MetadataKey = "__metadata__";

    /// <summary>The maximum length of a header in the format, in bytes.</summary>
    public const long MaxLength = 100_000_000;

    /// <summary>The number of bytes before the header, which contain its length.</summary>
    public const int PrefixLength = 8;

    // The operators of PyTorch support at most 64 dimensions.
    private const int MaxRank = 64;

    private readonly string _file;
    private readonly long _dataStart;
    private readonly long _dataLength;
    private readonly Dictionary<string, SafetensorsEntry> _entries = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _metadata = new(StringComparer.Ordinal);

    private bool _hasMetadata;

    private SafetensorsHeader(string file, long dataStart, long dataLength)
        => (_file, _dataStart, _dataLength) = (file, dataStart, dataLength);

    /// <summary>The entries of the tensors, in the order of their data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; private set; } = [];

    /// <summary>The metadata strings.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>Checks the length of a header against the size of the file, and returns it as an integer.</summary>
    /// <exception cref="InvalidDataException">The header is longer than the format allows, or than the rest of the file.</exception>
    public static int CheckLength(string file, ulong length, long fileLength)
    {
        if (length > MaxLength)
            throw Damaged(file, $"the header may have at most {MaxLength} bytes, it claims {length}");
        if ((long)length > fileLength - PrefixLength)
            throw Damaged(file, $"the header claims {length} bytes, but only {fileLength - PrefixLength} follow its length");
        return (int)length;
    }

    /// <summary>Parses and validates a header.</summary>
    /// <param name="file">The name of the file, for messages.</param>
    /// <param name="json">The header, as UTF-8.</param>
    /// <param name="fileLength">The size of the whole file, in bytes.</param>
    /// <exception cref="InvalidDataException">The header is not valid.</exception>
    public static SafetensorsHeader Parse(string file, ReadOnlyMemory<byte> json, long fileLength)
    {
        if (!Utf8.IsValid(json.Span))
            throw Damaged(file, "the header is not valid UTF-8");
        if (json.IsEmpty || json.Span[0] != '{')
            throw Damaged(file, "the header must be a JSON object that begins with '{'");
        var dataStart = PrefixLength + json.Length;
        var header = new SafetensorsHeader(file, dataStart, fileLength - dataStart);
        try
        {
            using var document = JsonDocument.Parse(json);
            foreach (var property in document.RootElement.EnumerateObject())
                header.Add(property.Name, property.Value);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{file}: the header is not valid JSON: {e.Message}", e);
        }
        catch (InvalidOperationException e)
        {
            // System.Text.Json throws this exception for an escape such as "\ud800", which is not a valid character.
            throw new InvalidDataException($"{file}: the header holds a string that is not Unicode: {e.Message}", e);
        }

        header.CheckCoverage();
        return header;
    }

    private static InvalidDataException Damaged(string file, string what) => new($"{file}: {what}.");

    private InvalidDataException Damaged(string what) => Damaged(_file, what);

    private void Add(string name, JsonElement value)
    {
        if (name == MetadataKey)
        {
            AddMetadata(value);
            return;
        }

        var entry = ReadEntry(name, value);
        if (!_entries.TryAdd(name, entry))
            throw Damaged($"the tensor '{name}' appears more than once");
    }

    private void AddMetadata(JsonElement value)
    {
        if (_hasMetadata)
            throw Damaged($"'{MetadataKey}' appears more than once");
        _hasMetadata = true;
        if (value.ValueKind == JsonValueKind.Null)
            return;
        if (value.ValueKind != JsonValueKind.Object)
            throw Damaged($"'{MetadataKey}' must be an object of strings, got {value.ValueKind}");
        foreach (var property in value.EnumerateObject())
        {
            if (property.Value.ValueKind != JsonValueKind.String)
                throw Damaged($"'{MetadataKey}' must hold strings only, got {property.Value.ValueKind} for '{property.Name}'");
            if (!_metadata.TryAdd(property.Name, property.Value.GetString()!))
                throw Damaged($"'{MetadataKey}' holds '{property.Name}' more than once");
        }
    }

    private SafetensorsEntry ReadEntry(string name, JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object)
            throw Damaged($"tensor '{name}' must be described by an object, got {value.ValueKind}");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var property in value.EnumerateObject())
        {
            if (!seen.Add(property.Name))
                throw Damaged($"tensor '{name}' has '{property.Name}' more than once");
        }

        var dtype = Required(name, value, "dtype");
        if (dtype.ValueKind != JsonValueKind.String)
            throw Damaged($"tensor '{name}' has dtype '{dtype}', expected a name such as one of {SafetensorsType.Names}");
        var dtypeName = dtype.GetString()!;
        var type = SafetensorsType.Find(dtypeName) ?? SafetensorsType.Unknown(dtypeName);
        var shape = NonNegative(name, value, "shape");
        var offsets = NonNegative(name, value, "data_offsets");
        if (offsets.Length != 2 || offsets[0] > offsets[1] || offsets[1] > _dataLength)
            throw Damaged(
                $"tensor '{name}' must have data_offsets [begin, end] with begin <= end <= {_dataLength}, got {Guard.Format(offsets)}");

        // The element size of an unknown type is also unknown, and may be less than one byte.
        var size = type.IsKnown ? ByteCount(name, shape, type.Size) : offsets[1] - offsets[0];
        if (size != offsets[1] - offsets[0])
            throw Damaged(
                $"tensor '{name}' of {dtypeName} {Guard.Format(shape)} needs {size} bytes, "
                + $"its data_offsets {Guard.Format(offsets)} span {offsets[1] - offsets[0]}");
        return new SafetensorsEntry(name, type, shape, _dataStart + offsets[0], size);
    }

    private JsonElement Required(string name, JsonElement value, string key)
        => value.TryGetProperty(key, out var found) ? found : throw Damaged($"tensor '{name}' has no '{key}'");

    private long[] NonNegative(string name, JsonElement value, string key)
    {
        var array = Required(name, value, key);
        if (array.ValueKind != JsonValueKind.Array)
            throw Damaged($"tensor '{name}' must have an array as its {key}, got {array.ValueKind}");
        if (array.GetArrayLength() is var count and > MaxRank)
            throw Damaged($"tensor '{name}' may have at most {MaxRank} numbers in its {key}, got {count}");
        var numbers = new List<long>();
        foreach (var element in array.EnumerateArray())
        {
            if (element.ValueKind != JsonValueKind.Number || !element.TryGetInt64(out var number) || number < 0)
                throw Damaged($"tensor '{name}' must have integers from 0 to {long.MaxValue} in its {key}, got {element}");
            numbers.Add(number);
        }

        return [.. numbers];
    }

    private long ByteCount(string name, long[] shape, long elementSize)
    {
        try
        {
            // The strides of an empty tensor must not overflow either.
            var size = elementSize;
            foreach (var length in shape)
                size = checked(size * Math.Max(length, 1));
            return shape.Contains(0) ? 0 : size;
        }
        catch (OverflowException)
        {
            throw Damaged($"tensor '{name}' of shape {Guard.Format(shape)} has more than {long.MaxValue} bytes");
        }
    }

    private void CheckCoverage()
    {
        Entries = [.. _entries.Values.OrderBy(entry => entry.Position).ThenBy(entry => entry.ByteCount)];
        var expected = _dataStart;
        foreach (var entry in Entries)
        {
            if (entry.Position != expected)
                throw Damaged(
                    $"tensor '{entry.Name}' must begin at {expected - _dataStart}, where the data before it ends, "
                    + $"it begins at {entry.Position - _dataStart}");
            expected += entry.ByteCount;
        }

        if (expected != _dataStart + _dataLength)
            throw Damaged($"the tensors cover {expected - _dataStart} bytes, the file holds {_dataLength} bytes of data");
    }
}

/// <summary>The entry of one tensor in the header of a safetensors file.</summary>
/// <param name="Name">The name of the tensor, unique in its file.</param>
/// <param name="Type">The type of the elements in the file.</param>
/// <param name="Shape">The shape of the tensor. It is empty for a scalar.</param>
/// <param name="Position">The offset of the first byte of the tensor from the start of the file, in bytes.</param>
/// <param name="ByteCount">The size of the tensor, in bytes.</param>
public sealed record SafetensorsEntry(string Name, SafetensorsType Type, IReadOnlyList<long> Shape, long Position, long ByteCount)
{
    /// <summary>The type of the tensor after it is read.</summary>
    /// <exception cref="NotSupportedException">The type in the file is not supported.</exception>
    public ScalarType Dtype => Type.ReadAs;
}
