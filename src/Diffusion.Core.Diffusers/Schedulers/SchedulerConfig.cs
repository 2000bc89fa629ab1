using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>A diffusers <c>scheduler_config.json</c>: the class of the scheduler and its settings.</summary>
/// <remarks>
/// As in <c>from_config</c> of diffusers, a setting that the class does not have is ignored, and one that is missing has the default of the
/// class. Both remain in the file.
/// </remarks>
public sealed class SchedulerConfig : DiffusersConfig
{
    /// <summary>The name of the file.</summary>
    internal const string FileName = "scheduler_config.json";

    private const string What = "A scheduler configuration";

    private SchedulerConfig(string className, JsonObject settings, string? path = null)
        : base(className, settings, path)
    {
    }

    /// <summary>
    /// The settings that no scheduler of diffusers has, in ordinal order, such as misspelled ones. Names that begin with an underscore are not
    /// settings.
    /// </summary>
    public IReadOnlyList<string> UnknownSettings => [.. Ignored().Where(name => !SchedulerSettings.IsKnown(name))];

    /// <summary>The settings of other classes of schedulers, which this one does not have, in ordinal order.</summary>
    public IReadOnlyList<string> IgnoredSettings => [.. Ignored().Where(SchedulerSettings.IsKnown)];

    /// <summary>Reads a file.</summary>
    /// <param name="path">A <c>scheduler_config.json</c>.</param>
    /// <param name="className">The class of the scheduler, in place of that of the file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not JSON, or nothing names the class of a scheduler.</exception>
    public static SchedulerConfig Read(string path, string? className = null)
    {
        return Create(PythonJson.Read(path, What), className, path);
    }

    /// <summary>Reads the text of a file.</summary>
    /// <param name="json">A JSON object; Python's bare <c>Infinity</c> and <c>NaN</c> are understood.</param>
    /// <param name="className">The class of the scheduler, in place of that of the text.</param>
    /// <exception cref="InvalidDataException">The text is not a JSON object, or nothing names the class of a scheduler.</exception>
    public static SchedulerConfig Parse(string json, string? className = null)
        => Create(PythonJson.Parse(json, What), className, path: null);

    /// <summary>Creates a configuration from its settings, which include the class.</summary>
    internal static SchedulerConfig Of(JsonObject settings)
    {
        settings["_diffusers_version"] = ConfigJson.Version;
        return Create(settings, className: null, path: null);
    }

    /// <summary>
    /// Returns the same settings for another class, like <c>from_config</c> of diffusers. A network that was trained with one
    /// scheduler can be sampled with another.
    /// </summary>
    public SchedulerConfig As(string className)
    {
        ArgumentException.ThrowIfNullOrEmpty(className);
        var settings = Copy();
        settings[ClassKey] = className;
        return new SchedulerConfig(className, settings, Path);
    }

    /// <summary>Returns the configuration with other values for those of some settings that the class has.</summary>
    internal SchedulerConfig With(IReadOnlyDictionary<string, JsonNode> values)
    {
        var settings = Copy();
        foreach (var (name, value) in values)
        {
            if (SchedulerSettings.Find(ClassName)?.ContainsKey(name) == true)
                settings[name] = value.DeepClone();
        }

        return new SchedulerConfig(ClassName, settings, Path);
    }

    private static SchedulerConfig Create(JsonObject settings, string? className, string? path)
    {
        if (className is not null)
            settings[ClassKey] = className;
        return ForeignJson.TextOf(settings[ClassKey]) is { Length: > 0 } name
            ? new SchedulerConfig(name, settings, path)
            : throw new InvalidDataException(
                Invariant($"{(path is null ? "" : path + ": ")}{What} must name its class as '{ClassKey}', ")
                + $"got {ForeignJson.Show(settings[ClassKey])}.");
    }

    private protected override JsonNode? Find(string name)
        => SchedulerSettings.Find(ClassName) is not { } settings ? base.Find(name)
            : settings.TryGetValue(name, out var missing) ? base.Find(name) ?? missing
            : null;

    private IEnumerable<string> Ignored() => SchedulerSettings.Find(ClassName) is not { } settings ? []
        : Names.Where(name => !name.StartsWith('_') && name != "quantization_config" && !settings.ContainsKey(name))
            .Order(StringComparer.Ordinal);
}
