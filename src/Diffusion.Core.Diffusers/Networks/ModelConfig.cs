using System.Collections.Concurrent;
using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>A <c>config.json</c> of diffusers or transformers: the class of a network and its settings.</summary>
public sealed class ModelConfig : DiffusersConfig
{
    /// <summary>The name of the file.</summary>
    internal const string FileName = "config.json";

    private const string ArchitecturesKey = "architectures";

    private readonly ConcurrentDictionary<string, bool> _asked = new(StringComparer.Ordinal);

    /// <summary>The configuration of a network.</summary>
    /// <param name="className">Its class, such as <c>UNet2DModel</c>.</param>
    /// <param name="settings">All of the file, with what names the class.</param>
    public ModelConfig(string className, JsonObject settings)
        : base(className, settings?.DeepClone().AsObject() ?? throw new ArgumentNullException(nameof(settings)))
        => ArgumentException.ThrowIfNullOrEmpty(className);

    /// <summary>
    /// The settings that nothing has read, in ordinal order: what the mapping of the network does not know. Names that begin
    /// with an underscore, which diffusers keeps for itself, are none.
    /// </summary>
    public IReadOnlyList<string> Unread
        => [.. Names.Where(name => name[0] != '_' && name != ArchitecturesKey && !_asked.ContainsKey(name)).Order(StringComparer.Ordinal)];

    /// <summary>Reads a file.</summary>
    /// <param name="path">A <c>config.json</c>.</param>
    /// <param name="className">The class, in place of that of the file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not JSON, or does not name a class.</exception>
    public static ModelConfig Read(string path, string? className = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Parse(File.ReadAllText(path), className);
    }

    /// <summary>Reads the text of a file.</summary>
    /// <param name="json">A JSON object that names its class as <c>_class_name</c> or as the first of <c>architectures</c>.</param>
    /// <param name="className">The class, in place of that of the text.</param>
    /// <exception cref="InvalidDataException">The text is not a JSON object, or nothing names a class.</exception>
    public static ModelConfig Parse(string json, string? className = null)
    {
        const string What = "The configuration of a network";
        var settings = PythonJson.Parse(json, What);
        var named = className ?? NameIn(settings[ClassKey]) ?? NameIn((settings[ArchitecturesKey] as JsonArray)?.FirstOrDefault());
        return named is null
            ? throw new InvalidDataException($"{What} must name its class as '{ClassKey}' or in '{ArchitecturesKey}'; there is none.")
            : new ModelConfig(named, settings);
    }

    /// <summary>Requires a setting to have one of some values, which this library does as a matter of course, or to be missing.</summary>
    /// <exception cref="NotSupportedException">It has another; the message names it and its value.</exception>
    public void Require(string name, params ReadOnlySpan<JsonNode?> supported)
    {
        if (Find(name) is not { } actual)
            return;
        foreach (var value in supported)
        {
            if (value is not null && (JsonNode.DeepEquals(actual, value) || (PythonJson.NumberOf(actual) is { } number && PythonJson.NumberOf(value) == number)))
                return;
        }

        throw Unsupported(name);
    }

    /// <summary>The exception for a setting whose value asks for something that this library does not do.</summary>
    public NotSupportedException Unsupported(string name) => new($"{ClassName} with {name} {Find(name)?.ToJsonString() ?? "null"} is not supported.");

    /// <summary>The names of settings that change nothing here, such as those for training or for other runtimes.</summary>
    public void Ignore(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
            _asked[name] = true;
    }

    private protected override JsonNode? Find(string name)
    {
        _asked[name] = true;
        return base.Find(name);
    }

    private static string? NameIn(JsonNode? node) => node is JsonValue value && value.TryGetValue(out string? name) && name.Length > 0 ? name : null;
}
