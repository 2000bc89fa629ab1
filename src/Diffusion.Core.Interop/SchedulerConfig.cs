using System.Text.Json;
using System.Text.RegularExpressions;

namespace Diffusion.Core.Interop;

/// <summary>
/// A diffusers <c>scheduler_config.json</c>: the class of the scheduler and its settings. A setting that is missing or null has the value
/// that the caller gives for it. Immutable.
/// </summary>
public sealed partial class SchedulerConfig
{
    private const string ClassKey = "_class_name";
    private readonly JsonElement _settings;

    private SchedulerConfig(string className, JsonElement settings) => (ClassName, _settings) = (className, settings);

    /// <summary>The class of the scheduler in diffusers, such as <c>DDIMScheduler</c>.</summary>
    public string ClassName { get; }

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
        ArgumentNullException.ThrowIfNull(json);
        JsonElement root;
        try
        {
            using var document = JsonDocument.Parse(BareNumber().Replace(json, "\"$0\""));
            root = document.RootElement.Clone();
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"A scheduler configuration must be JSON: {error.Message}", error);
        }

        if (root.ValueKind != JsonValueKind.Object)
            throw new InvalidDataException($"A scheduler configuration must be a JSON object, got {root.ValueKind}.");
        var name = className ?? (root.TryGetProperty(ClassKey, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null);
        return name is null
            ? throw new InvalidDataException($"A scheduler configuration must name its class as '{ClassKey}'; there is none.")
            : new SchedulerConfig(name, root);
    }

    /// <summary>A number.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public double Number(string name, double missing) => NumberOrNull(name) ?? missing;

    /// <summary>A number, or null where it is missing.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public double? NumberOrNull(string name)
    {
        if (Find(name) is not { } value)
            return null;
        return value.ValueKind switch
        {
            JsonValueKind.Number => value.GetDouble(),
            JsonValueKind.String => value.GetString() switch
            {
                "Infinity" => double.PositiveInfinity,
                "-Infinity" => double.NegativeInfinity,
                "NaN" => double.NaN,
                _ => throw Unexpected(name, "a number", value),
            },
            _ => throw Unexpected(name, "a number", value),
        };
    }

    /// <summary>A whole number.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public int Whole(string name, int missing)
        => Find(name) is not { } value ? missing
            : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var whole) ? whole
            : throw Unexpected(name, "a whole number", value);

    /// <summary>True or false.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public bool Flag(string name, bool missing)
        => Find(name) is not { } value ? missing
            : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean()
            : throw Unexpected(name, "true or false", value);

    /// <summary>A name.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public string Text(string name, string missing)
        => Find(name) is not { } value ? missing
            : value.ValueKind == JsonValueKind.String ? value.GetString()!
            : throw Unexpected(name, "text", value);

    /// <summary>A list of numbers, or null where it is missing.</summary>
    /// <exception cref="InvalidDataException">The setting is something else.</exception>
    public double[]? Numbers(string name)
    {
        if (Find(name) is not { } list)
            return null;
        if (list.ValueKind != JsonValueKind.Array)
            throw Unexpected(name, "a list of numbers", list);
        var values = new double[list.GetArrayLength()];
        for (var i = 0; i < values.Length; i++)
            values[i] = list[i].ValueKind == JsonValueKind.Number ? list[i].GetDouble() : throw Unexpected(name, "a list of numbers", list);
        return values;
    }

    /// <summary>The exception for a setting whose value this library does not know.</summary>
    internal NotSupportedException Unknown(string name, string value) => new($"{ClassName} with {name} '{value}' is not supported.");

    private JsonElement? Find(string name) => _settings.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private InvalidDataException Unexpected(string name, string expected, JsonElement actual)
        => new($"{ClassName}: '{name}' must be {expected}, got {actual.GetRawText()}.");

    // Python writes infinities as bare words, which are no JSON; as strings they are.
    [GeneratedRegex("(?<=[:,\\[]\\s*)(-?Infinity|NaN)")]
    private static partial Regex BareNumber();
}
