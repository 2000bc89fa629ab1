using System.Collections.Concurrent;
using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>A <c>config.json</c> of diffusers or transformers: the class of a network and its settings.</summary>
public sealed class ModelConfig : DiffusersConfig
{
    /// <summary>The name of the file.</summary>
    internal const string FileName = "config.json";

    private const string ArchitecturesKey = "architectures";
    private const string What = "The configuration of a network";

    private readonly ConcurrentDictionary<string, bool> _asked = new(StringComparer.Ordinal);

    /// <summary>Initializes a new instance of the <see cref="ModelConfig"/> class.</summary>
    /// <param name="className">The class of the network, such as <c>UNet2DModel</c>.</param>
    /// <param name="settings">All settings of the file, including the key that specifies the class.</param>
    public ModelConfig(string className, JsonObject settings)
        : this(className, settings?.DeepClone().AsObject() ?? throw new ArgumentNullException(nameof(settings)), path: null)
    {
    }

    private ModelConfig(string className, JsonObject settings, string? path)
        : base(className, settings, path)
        => ArgumentException.ThrowIfNullOrEmpty(className);

    /// <summary>
    /// The names of the settings that have not been read or ignored, in ordinal order. <c>architectures</c> and names that begin with
    /// an underscore, which diffusers reserves, are not included.
    /// </summary>
    public IReadOnlyList<string> Unread
        =>
        [
            .. Names.Where(name => !name.StartsWith('_') && name != ArchitecturesKey && !_asked.ContainsKey(name))
                .Order(StringComparer.Ordinal),
        ];

    /// <summary>Reads a file.</summary>
    /// <param name="path">A <c>config.json</c>.</param>
    /// <param name="className">The class of the network. The default is the class that the file specifies.</param>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">The file is not a JSON object, or no class is specified.</exception>
    public static ModelConfig Read(string path, string? className = null)
    {
        return Create(PythonJson.Read(path, What), className, path);
    }

    /// <summary>Reads the text of a file.</summary>
    /// <param name="json">
    /// A JSON object that specifies its class in <c>_class_name</c> or as the first item of <c>architectures</c>.
    /// </param>
    /// <param name="className">The class of the network. The default is the class that the text specifies.</param>
    /// <exception cref="InvalidDataException">The text is not a JSON object, or no class is specified.</exception>
    public static ModelConfig Parse(string json, string? className = null)
        => Create(PythonJson.Parse(json, What), className, path: null);

    /// <summary>Throws an exception unless the setting is missing, null, or equal to one of the given values.</summary>
    /// <exception cref="NotSupportedException">The setting has another value; the message contains its name and value.</exception>
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

    /// <summary>Returns the exception for a setting whose value is not supported.</summary>
    public NotSupportedException Unsupported(string name) => new($"{Origin} with {name} {ForeignJson.Show(Find(name))} is not supported.");

    /// <summary>Marks settings as read that do not affect the network, such as those for training or for other runtimes.</summary>
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

    private static ModelConfig Create(JsonObject settings, string? className, string? path)
    {
        var named = className ?? NameIn(settings[ClassKey]) ?? NameIn((settings[ArchitecturesKey] as JsonArray)?.FirstOrDefault());
        return string.IsNullOrEmpty(named)
            ? throw new InvalidDataException(
                Invariant($"{(path is null ? "" : path + ": ")}{What} must name its class as '{ClassKey}' or in ")
                + Invariant($"'{ArchitecturesKey}'; there is none."))
            : new ModelConfig(named, settings, path);
    }

    private static string? NameIn(JsonNode? node) => ForeignJson.TextOf(node) is { Length: > 0 } name ? name : null;
}
