using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// A configuration as diffusers writes it: the class that it describes and its settings. A setting that is missing or null has the value
/// that the caller gives for it. Settings never change, and are written back as they were read, also those that nothing here knows.
/// </summary>
public abstract class DiffusersConfig
{
    /// <summary>The key of the class of a component of diffusers.</summary>
    internal const string ClassKey = "_class_name";

    private readonly JsonObject _settings;

    private protected DiffusersConfig(string className, JsonObject settings) => (ClassName, _settings) = (className, settings);

    /// <summary>The class in diffusers, such as <c>DDIMScheduler</c> or <c>UNet2DModel</c>.</summary>
    public string ClassName { get; }

    /// <summary>The names of all settings.</summary>
    internal IEnumerable<string> Names => _settings.Select(pair => pair.Key);

    /// <summary>True where the setting is there and not null.</summary>
    public bool Has(string name) => Find(name) is not null;

    /// <summary>True where the setting is there, null or not: for settings to which null means something.</summary>
    public bool Contains(string name)
    {
        Find(name);
        return _settings.ContainsKey(name);
    }

    /// <summary>A number.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public double Number(string name, double missing) => NumberOrNull(name) ?? missing;

    /// <summary>A number, or null where it is missing.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public double? NumberOrNull(string name)
        => Find(name) is not { } value ? null : PythonJson.NumberOf(value) ?? throw Unexpected(name, "a number", value);

    /// <summary>A whole number.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public int Whole(string name, int missing) => WholeOrNull(name) ?? missing;

    /// <summary>A whole number, or null where it is missing.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public int? WholeOrNull(string name)
        => Find(name) is not { } value ? null : WholeOf(value) ?? throw Unexpected(name, "a whole number", value);

    /// <summary>True or false.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public bool Flag(string name, bool missing)
        => Find(name) is not { } value ? missing
            : value.GetValueKind() is JsonValueKind.True or JsonValueKind.False ? value.GetValue<bool>()
            : throw Unexpected(name, "true or false", value);

    /// <summary>A name.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public string Text(string name, string missing) => TextOrNull(name) ?? missing;

    /// <summary>A name, or null where it is missing.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public string? TextOrNull(string name)
        => Find(name) is not { } value ? null
            : value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>()
            : throw Unexpected(name, "text", value);

    /// <summary>A list of numbers, or null where it is missing.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public double[]? Numbers(string name)
        => Items(name, "a list of numbers", value => value.GetValueKind() == JsonValueKind.Number ? PythonJson.NumberOf(value) : null);

    /// <summary>A list of whole numbers, or null where it is missing.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public int[]? Wholes(string name) => Items(name, "a list of whole numbers", WholeOf);

    /// <summary>A list of names, or null where it is missing.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public string[]? Texts(string name)
    {
        if (Find(name) is not { } list)
            return null;
        return list is JsonArray items && items.All(item => item?.GetValueKind() == JsonValueKind.String)
            ? [.. items.Select(item => item!.GetValue<string>())]
            : throw Unexpected(name, "a list of names", list);
    }

    /// <summary>The setting as it is, a copy, or null.</summary>
    public JsonNode? Json(string name) => Find(name)?.DeepClone();

    /// <summary>The text of the file: indented by two, keys in order, other than ASCII escaped, a line feed at the end.</summary>
    public string ToJson() => PythonJson.Write(_settings);

    /// <summary>Writes the file, whole or not at all; its folder is created where it is missing.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public void Save(string path) => TextFile.Write(path, ToJson());

    /// <summary>The exception for a setting whose value this library does not know.</summary>
    internal NotSupportedException Unknown(string name, string value) => new($"{ClassName} with {name} '{value}' is not supported.");

    /// <summary>All settings, a copy.</summary>
    internal JsonObject Copy() => _settings.DeepClone().AsObject();

    /// <summary>The value of a setting, or null where it is missing.</summary>
    private protected virtual JsonNode? Find(string name) => _settings[name];

    /// <summary>The exception for a setting of the wrong type.</summary>
    private protected InvalidDataException Unexpected(string name, string expected, JsonNode actual)
        => new($"{ClassName}: '{name}' must be {expected}, got {actual.ToJsonString()}.");

    private static int? WholeOf(JsonNode value)
        => value.GetValueKind() == JsonValueKind.Number && PythonJson.NumberOf(value) is { } number && number == (int)number ? (int)number : null;

    private T[]? Items<T>(string name, string expected, Func<JsonNode, T?> convert)
        where T : struct
        => Find(name) is not { } list ? null
            : list is JsonArray items ? [.. items.Select(item => (item is null ? null : convert(item)) ?? throw Unexpected(name, expected, list))]
            : throw Unexpected(name, expected, list);
}

/// <summary>Small files of text.</summary>
internal static class TextFile
{
    /// <summary>Writes UTF-8 without a mark, whole or not at all.</summary>
    public static void Write(string path, string text) => AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
}
