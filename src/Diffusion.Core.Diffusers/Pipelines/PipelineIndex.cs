using System.Text.Json;
using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// A <c>model_index.json</c>: the class of a pipeline and, for each component, a library and a class, or <c>[null, null]</c> if the
/// component is omitted. Other entries are preserved.
/// </summary>
internal sealed class PipelineIndex
{
    public const string FileName = "model_index.json";

    private readonly JsonObject _settings;

    private PipelineIndex(string className, JsonObject settings)
    {
        (ClassName, _settings) = (className, settings);
        Components = settings
            .Where(pair => pair.Value is JsonArray { Count: 2 } pairOf && pairOf.All(item => item is null or JsonValue { } && IsNameOrNull(item)))
            .ToDictionary(pair => pair.Key, pair => ((string?)pair.Value![0], (string?)pair.Value[1]), StringComparer.Ordinal);
    }

    /// <summary>The class in diffusers.</summary>
    public string ClassName { get; }

    /// <summary>The library and the class of each component, by name.</summary>
    public IReadOnlyDictionary<string, (string? Library, string? ClassName)> Components { get; }

    /// <summary>Reads a file.</summary>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is not a JSON object, specifies no class, or contains a component whose name is not a valid folder name.
    /// </exception>
    public static PipelineIndex Read(string path)
    {
        const string What = "The index of a pipeline";
        var settings = PythonJson.Parse(File.ReadAllText(path), What);
        if (settings[DiffusersConfig.ClassKey] is not JsonValue value || !value.TryGetValue(out string? className))
            throw new InvalidDataException($"{path}: {What} must name its class as '{DiffusersConfig.ClassKey}'; there is none.");
        var index = new PipelineIndex(className, settings);
        if (index.Components.Keys.FirstOrDefault(name => name.AsSpan().IndexOfAny("/\\:\0") >= 0 || name is "" or "." or "..") is { } bad)
            throw new InvalidDataException($"{path}: the name of a component must be a folder name, got '{bad}'.");
        return index;
    }

    /// <summary>Creates an index.</summary>
    public static PipelineIndex Of(string className, IEnumerable<(string Name, string Library, string ClassName)> components)
    {
        var settings = new JsonObject { [DiffusersConfig.ClassKey] = className, ["_diffusers_version"] = ConfigJson.Version };
        foreach (var (name, library, component) in components)
            settings[name] = new JsonArray(library, component);
        return new PipelineIndex(className, settings);
    }

    /// <summary>Returns this index with another class for a component.</summary>
    public PipelineIndex With(string name, string library, string className)
    {
        var settings = _settings.DeepClone().AsObject();
        settings[name] = new JsonArray(library, className);
        return new PipelineIndex(ClassName, settings);
    }

    /// <summary>Returns the text of the file.</summary>
    public string ToJson() => PythonJson.Write(_settings);

    private static bool IsNameOrNull(JsonNode? item) => item is null || item.GetValueKind() == JsonValueKind.String;
}
