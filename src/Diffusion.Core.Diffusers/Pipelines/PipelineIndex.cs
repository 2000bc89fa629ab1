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
        Components = settings.Where(pair => pair.Value is JsonArray { Count: 2 } names && names.All(IsNameOrNull))
            .ToDictionary(
                pair => pair.Key, pair => (ForeignJson.TextOf(pair.Value![0]), ForeignJson.TextOf(pair.Value[1])), StringComparer.Ordinal);
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
        var settings = PythonJson.Read(path, What);
        var named = settings[DiffusersConfig.ClassKey];
        if (ForeignJson.TextOf(named) is not { Length: > 0 } className)
            throw new InvalidDataException(
                Invariant($"{path}: {What} must name its class as '{DiffusersConfig.ClassKey}', got {ForeignJson.Show(named)}."));
        var index = new PipelineIndex(className, settings);
        foreach (var (name, (library, component)) in index.Components)
        {
            if (name.AsSpan().IndexOfAny("/\\:\0") >= 0 || name is "" or "." or "..")
                throw new InvalidDataException($"{path}: the name of a component must be a folder name, got '{name}'.");
            if (library is "" || component is "")
                throw new InvalidDataException(
                    $"{path}: '{name}' must name a library and a class, got {ForeignJson.Show(settings[name])}.");
        }

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

    private static bool IsNameOrNull(JsonNode? item) => item is null || ForeignJson.TextOf(item) is not null;
}
