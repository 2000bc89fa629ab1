using System.Text.Json;

namespace Diffusion.Core.Diffusers;

/// <summary>A JSON file of Hugging Face that contains an object with settings.</summary>
internal sealed class HuggingFaceJson : IDisposable
{
    private readonly JsonDocument _document;

    private HuggingFaceJson(string path, JsonDocument document) => (Path, _document) = (path, document);

    /// <summary>The path of the file.</summary>
    public string Path { get; }

    /// <summary>The object in the file.</summary>
    public JsonElement Root => _document.RootElement;

    /// <summary>Reads a file.</summary>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">The file does not contain a JSON object.</exception>
    public static HuggingFaceJson Open(string path)
    {
        if (!File.Exists(path))
            throw new FileNotFoundException($"There is no file {path}.", path);
        try
        {
            using var stream = File.OpenRead(path);
            var document = JsonDocument.Parse(stream);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? new HuggingFaceJson(path, document)
                : throw new InvalidDataException($"{path}: expected a JSON object, got {document.RootElement.ValueKind}.");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: not valid JSON: {e.Message}", e);
        }
    }

    /// <summary>Returns the setting as a number, or <paramref name="missing"/> if the setting is missing or null.</summary>
    public double Number(string name, double missing)
        => Find(name) is not { } value ? missing
            : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) ? number
            : throw Unexpected(name, "a number", value);

    /// <summary>Returns the setting, or null if it is missing or null.</summary>
    public JsonElement? Find(string name)
        => Root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>Returns the exception for a setting of the wrong type.</summary>
    public InvalidDataException Unexpected(string name, string expected, JsonElement value)
        => new($"{Path}: '{name}' must be {expected}, got {value.ValueKind}.");

    /// <inheritdoc/>
    public void Dispose() => _document.Dispose();
}
