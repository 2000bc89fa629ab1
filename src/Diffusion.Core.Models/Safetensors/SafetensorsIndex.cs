using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Diffusion.Core.Models;

/// <summary>
/// The index of a set of safetensors files, in the format of the libraries of Hugging Face:
/// <c>{"metadata": {"total_size": bytes}, "weight_map": {tensor: file}}</c>.
/// </summary>
/// <param name="TotalSize">
/// The size of all tensors, in bytes, or <see langword="null"/> if the index does not contain it. It is not used for reading.
/// </param>
/// <param name="Files">The name of the file of each tensor, without a folder.</param>
internal sealed partial record SafetensorsIndex(long? TotalSize, IReadOnlyDictionary<string, string> Files)
{
    /// <summary>The extension of index files.</summary>
    public const string Extension = ".safetensors.index.json";

    /// <summary>
    /// Distributes tensors over files, in order. Each file has at most the given number of bytes; a larger tensor is in a separate file.
    /// </summary>
    public static List<List<SafetensorsSource>> Split(IEnumerable<SafetensorsSource> tensors, long maxBytes)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        List<List<SafetensorsSource>> shards = [];
        List<SafetensorsSource> current = [];
        var size = 0L;
        foreach (var tensor in tensors)
        {
            if (tensor.ByteCount > maxBytes)
            {
                shards.Add([tensor]);
                continue;
            }

            if (current.Count > 0 && size > maxBytes - tensor.ByteCount)
            {
                shards.Add(current);
                (current, size) = ([], 0L);
            }

            current.Add(tensor);
            size += tensor.ByteCount;
        }

        if (current.Count > 0 || shards.Count == 0)
            shards.Add(current);
        return shards;
    }

    /// <summary>Creates the index of the files of a set.</summary>
    /// <exception cref="ArgumentException">Two tensors have the same name.</exception>
    public static SafetensorsIndex Of(List<List<SafetensorsSource>> shards, List<string> files)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < shards.Count; i++)
        {
            foreach (var tensor in shards[i])
            {
                if (!map.TryAdd(tensor.Name, files[i]))
                    throw new ArgumentException($"Each tensor must have a unique name, got '{tensor.Name}' twice.", nameof(shards));
            }
        }

        return new SafetensorsIndex(shards.Sum(shard => shard.Sum(tensor => tensor.ByteCount)), map);
    }

    /// <summary>Returns the name of the file with the zero-based index <paramref name="i"/> in a set.</summary>
    public static string FileName(string name, int i, int count)
        => count == 1 ? $"{name}.safetensors" : string.Create(CultureInfo.InvariantCulture, $"{name}-{i + 1:D5}-of-{count:D5}.safetensors");

    /// <summary>Returns the name of the index of a set.</summary>
    public static string IndexName(string name) => name + Extension;

    /// <summary>Returns whether a file of a set can have this name.</summary>
    public static bool BelongsTo(string name, string file)
        => file == FileName(name, 0, 1) || file == IndexName(name)
            || (file.StartsWith(name, StringComparison.Ordinal) && ShardSuffix().IsMatch(file.AsSpan(name.Length)));

    /// <summary>Reads and validates an index.</summary>
    /// <exception cref="InvalidDataException">The index is not valid, or contains a file outside the folder of the index.</exception>
    public static SafetensorsIndex Read(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(DiskFile.ReadBytes(path));
            return Parse(path, document.RootElement);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new InvalidDataException($"{path}: the index is not valid JSON: {e.Message}", e);
        }
    }

    /// <summary>Returns the index as JSON, indented by two spaces, with sorted tensor names and a line feed at the end.</summary>
    public string ToJson()
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteStartObject("metadata");
            if (TotalSize is { } size)
                json.WriteNumber("total_size", size);
            json.WriteEndObject();
            json.WriteStartObject("weight_map");
            foreach (var (tensor, file) in Files.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                json.WriteString(tensor, file);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray()) + "\n";
    }

    private static SafetensorsIndex Parse(string path, JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object
            || !root.TryGetProperty("weight_map", out var map) || map.ValueKind != JsonValueKind.Object)
            throw new InvalidDataException($"{path}: an index must be an object with an object 'weight_map'.");
        var files = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var property in map.EnumerateObject())
        {
            var file = property.Value.ValueKind == JsonValueKind.String ? property.Value.GetString()! : "";
            if (file.Length == 0 || file.AsSpan().IndexOfAny("/\\:\0") >= 0 || file is "." or "..")
                throw new InvalidDataException(
                    $"{path}: the file of tensor '{property.Name}' must be the name of a file in the folder of the index, got "
                    + Invariant($"{property.Value.GetRawText()}."));
            if (!files.TryAdd(property.Name, file))
                throw new InvalidDataException($"{path}: the tensor '{property.Name}' appears more than once.");
        }

        var size = root.TryGetProperty("metadata", out var metadata) && metadata.ValueKind == JsonValueKind.Object
            && metadata.TryGetProperty("total_size", out var total)
            && total.ValueKind == JsonValueKind.Number && total.TryGetInt64(out var bytes)
            ? bytes
            : (long?)null;
        return new SafetensorsIndex(size, files);
    }

    [GeneratedRegex(@"^-\d{5,}-of-\d{5,}\.safetensors$")]
    private static partial Regex ShardSuffix();
}
