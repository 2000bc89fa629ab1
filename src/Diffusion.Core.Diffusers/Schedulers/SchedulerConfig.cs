using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>A diffusers <c>scheduler_config.json</c>: the class of the scheduler and its settings.</summary>
public sealed class SchedulerConfig : DiffusersConfig
{
    /// <summary>The name of the file.</summary>
    internal const string FileName = "scheduler_config.json";

    private const string What = "A scheduler configuration";

    private SchedulerConfig(string className, JsonObject settings)
        : base(className, settings)
    {
    }

    /// <summary>Reads a file.</summary>
    /// <param name="path">A <c>scheduler_config.json</c>.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not JSON, or does not name the class of a scheduler.</exception>
    public static SchedulerConfig Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return Parse(File.ReadAllText(path));
    }

    /// <summary>Reads the text of a file.</summary>
    /// <param name="json">A JSON object; Python's bare <c>Infinity</c> and <c>NaN</c> are understood.</param>
    /// <param name="className">The class of the scheduler, where the text does not name it.</param>
    /// <exception cref="InvalidDataException">The text is not a JSON object, or nothing names the class of a scheduler.</exception>
    public static SchedulerConfig Parse(string json, string? className = null)
    {
        var settings = PythonJson.Parse(json, What);
        if (className is not null)
            settings[ClassKey] = className;
        return settings[ClassKey] is JsonValue value && value.TryGetValue(out string? name)
            ? new SchedulerConfig(name, settings)
            : throw new InvalidDataException($"{What} must name its class as '{ClassKey}'; there is none.");
    }

    /// <summary>A configuration from its settings, with what names the class.</summary>
    internal static SchedulerConfig Of(JsonObject settings)
    {
        settings["_diffusers_version"] = ConfigJson.Version;
        return new SchedulerConfig(settings[ClassKey]!.GetValue<string>(), settings);
    }

    /// <summary>
    /// The same settings for another class, as diffusers' <c>from_config</c> takes them: a network that was trained with one scheduler can
    /// be sampled with another.
    /// </summary>
    public SchedulerConfig As(string className)
    {
        ArgumentException.ThrowIfNullOrEmpty(className);
        var settings = Copy();
        settings[ClassKey] = className;
        return new SchedulerConfig(className, settings);
    }
}
