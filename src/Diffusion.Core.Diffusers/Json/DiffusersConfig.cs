using System.Text;
using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// A configuration of diffusers: a class and its settings. Settings are immutable. They are written back as they were read, including
/// those that this library does not support.
/// </summary>
public abstract class DiffusersConfig
{
    /// <summary>The key that specifies the class of a component of diffusers.</summary>
    internal const string ClassKey = "_class_name";

    private readonly JsonObject _settings;

    private protected DiffusersConfig(string className, JsonObject settings, string? path)
        => (ClassName, _settings, Path) = (className, settings, path);

    /// <summary>The class in diffusers, such as <c>DDIMScheduler</c> or <c>UNet2DModel</c>.</summary>
    public string ClassName { get; }

    /// <summary>The path of the file that contains the configuration, or null if it was not read from a file.</summary>
    internal string? Path { get; }

    /// <summary>The file and the class, for messages.</summary>
    internal string Origin => Path is null ? ClassName : $"{Path}: {ClassName}";

    /// <summary>The names of all settings.</summary>
    internal IEnumerable<string> Names => _settings.Select(pair => pair.Key);

    /// <summary>Returns whether the setting is present and not null.</summary>
    public bool Has(string name) => Find(name) is not null;

    /// <summary>
    /// Returns whether the setting is present, even if it is null. For settings in which null has a meaning of its own.
    /// </summary>
    public bool Contains(string name)
    {
        Find(name);
        return _settings.ContainsKey(name);
    }

    /// <summary>Returns the setting as a number, or <paramref name="missing"/> if the setting is missing or null.</summary>
    /// <exception cref="InvalidDataException">The setting is not a number.</exception>
    public double Number(string name, double missing) => NumberOrNull(name) ?? missing;

    /// <summary>Returns the setting as a number, or <see langword="null"/> if the setting is missing or null.</summary>
    /// <exception cref="InvalidDataException">The setting is not a number.</exception>
    public double? NumberOrNull(string name)
        => Find(name) is not { } value ? null : PythonJson.NumberOf(value) ?? throw Unexpected(name, "a number", value);

    /// <summary>Returns the setting as a whole number, or <paramref name="missing"/> if the setting is missing or null.</summary>
    /// <exception cref="InvalidDataException">The setting is not a whole number.</exception>
    public int Whole(string name, int missing) => WholeOrNull(name) ?? missing;

    /// <summary>Returns the setting as a whole number, or <see langword="null"/> if the setting is missing or null.</summary>
    /// <exception cref="InvalidDataException">The setting is not a whole number.</exception>
    public int? WholeOrNull(string name)
        => Find(name) is not { } value ? null : WholeOf(value) ?? throw Unexpected(name, "a whole number", value);

    /// <summary>Returns the setting as a Boolean, or <paramref name="missing"/> if the setting is missing or null.</summary>
    /// <exception cref="InvalidDataException">The setting is not true or false.</exception>
    public bool Flag(string name, bool missing)
        => Find(name) is not { } value ? missing : ForeignJson.FlagOf(value) ?? throw Unexpected(name, "true or false", value);

    /// <summary>Returns the setting as a string, or <paramref name="missing"/> if the setting is missing or null.</summary>
    /// <exception cref="InvalidDataException">The setting is not a string.</exception>
    public string Text(string name, string missing) => TextOrNull(name) ?? missing;

    /// <summary>Returns the setting as a string, or <see langword="null"/> if the setting is missing or null.</summary>
    /// <exception cref="InvalidDataException">The setting is not a string.</exception>
    public string? TextOrNull(string name)
        => Find(name) is not { } value ? null : ForeignJson.TextOf(value) ?? throw Unexpected(name, "text", value);

    /// <summary>Returns the setting as a list of numbers, or <see langword="null"/> if the setting is missing or null.</summary>
    /// <exception cref="InvalidDataException">The setting is not a list of numbers.</exception>
    public double[]? Numbers(string name) => Items(name, "a list of numbers", value => ForeignJson.NumberOf(value));

    /// <summary>Returns the setting as a list of whole numbers, or <see langword="null"/> if the setting is missing or null.</summary>
    /// <exception cref="InvalidDataException">The setting is not a list of whole numbers.</exception>
    public int[]? Wholes(string name) => Items(name, "a list of whole numbers", WholeOf);

    /// <summary>Returns the setting as a list of strings, or <see langword="null"/> if the setting is missing or null.</summary>
    /// <exception cref="InvalidDataException">The setting is not a list of strings.</exception>
    public string[]? Texts(string name) => Items(name, "a list of names", value => ForeignJson.TextOf(value));

    /// <summary>Returns the setting as a list of Booleans, or null if the setting is missing or null.</summary>
    internal bool[]? Flags(string name) => Items(name, "a list of true and false", value => ForeignJson.FlagOf(value));

    /// <summary>Returns a copy of the JSON value of the setting, or <see langword="null"/> if the setting is missing or null.</summary>
    public JsonNode? Json(string name) => Find(name)?.DeepClone();

    /// <summary>
    /// Returns the text of the file: indented by two spaces, with sorted keys, non-ASCII characters escaped, and a line feed at the
    /// end.
    /// </summary>
    public string ToJson() => PythonJson.Write(_settings);

    /// <summary>Writes the file atomically. The folder is created if it does not exist.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path) => TextFile.Write(path, ToJson());

    /// <summary>Returns the exception for a setting whose value is not supported.</summary>
    internal NotSupportedException Unknown(string name, string value) => new($"{Origin} with {name} '{value}' is not supported.");

    /// <summary>Returns a copy of all settings.</summary>
    internal JsonObject Copy() => _settings.DeepClone().AsObject();

    /// <summary>Returns the value of a setting, or null if the setting is missing or null.</summary>
    private protected virtual JsonNode? Find(string name) => _settings[name];

    /// <summary>Returns the exception for a setting of the wrong type, or with a value that is not valid.</summary>
    internal InvalidDataException Unexpected(string name, string expected, JsonNode? actual)
        => new($"{Origin}: '{name}' must be {expected}, got {ForeignJson.Show(actual)}.");

    private static int? WholeOf(JsonNode? value)
        => ForeignJson.WholeOf(value) is { } whole and >= int.MinValue and <= int.MaxValue ? (int)whole : null;

    private T[]? Items<T>(string name, string expected, Func<JsonNode?, T?> convert)
        where T : struct
        => Find(name) is not { } list ? null
            : list is JsonArray items ? [.. items.Select(item => convert(item) ?? throw Unexpected(name, expected, list))]
            : throw Unexpected(name, expected, list);

    private string[]? Items(string name, string expected, Func<JsonNode?, string?> convert)
        => Find(name) is not { } list ? null
            : list is JsonArray items ? [.. items.Select(item => convert(item) ?? throw Unexpected(name, expected, list))]
            : throw Unexpected(name, expected, list);
}

/// <summary>Writes text files.</summary>
internal static class TextFile
{
    /// <summary>Writes a file atomically, in UTF-8 without a byte order mark.</summary>
    public static void Write(string path, string text) => AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
}
