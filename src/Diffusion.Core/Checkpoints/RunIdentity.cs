using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Diffusion.Core.Losses;
using Diffusion.Core.Schedules;

namespace Diffusion.Core;

/// <summary>
/// The settings that a checkpoint contains in addition to the state of a trainer. They are compared when the run is resumed.
/// </summary>
internal sealed record RunIdentity
{
    /// <summary>The relative tolerance, for mathematical libraries whose results differ in the last digits.</summary>
    private const double Tolerance = 1e-9;

    /// <summary>
    /// The name of the setting that contains the options of the network, if they can be described in JSON. The names and shapes of the
    /// tensors of the network are always compared.
    /// </summary>
    private const string Network = "network";

    /// <summary>Settings that change the memory or time that a network takes, but not its results.</summary>
    private static readonly string[] Harmless = ["use_gradient_checkpointing"];

    /// <summary>The noise schedule; <see langword="null"/> for a trainer without one.</summary>
    public ScheduleFingerprint? Schedule { get; init; }

    /// <summary>Settings that must be the same, by name.</summary>
    public JsonObject Settings { get; init; } = [];

    /// <summary>Returns the content of <c>model.json</c>; <see langword="null"/> for a trainer without a diffusion model.</summary>
    public Func<string>? Model { get; init; }

    /// <summary>The timestep sampler whose state is part of the checkpoint; <see langword="null"/> for none.</summary>
    public IAdaptiveTimestepSampler? Timesteps { get; init; }

    /// <summary>
    /// Returns the first difference, such as <c>optimizer AdamW, this trainer has Lion</c>; <see langword="null"/> if there is none.
    /// </summary>
    /// <remarks>
    /// <paramref name="now"/> is converted to text and parsed again: a number in memory has a type, and a parsed number has none.
    /// </remarks>
    public static string? Difference(JsonObject before, JsonObject now) => Compare("", before, JsonNode.Parse(now.ToJsonString()));

    private static string? Compare(string path, JsonNode? before, JsonNode? now)
    {
        switch (before, now)
        {
            case (JsonObject first, JsonObject second):
                return first.Select(entry => entry.Key).Union(second.Select(entry => entry.Key))
                    .Where(key => !Harmless.Contains(key) && !(key == Network && (first[key] is null || second[key] is null)))
                    .Select(key => Compare(path.Length == 0 ? key : $"{path}.{key}", first[key], second[key]))
                    .FirstOrDefault(difference => difference is not null);
            case (JsonArray first, JsonArray second) when first.Count == second.Count:
                return first.Zip(second).All(pair => Compare(path, pair.First, pair.Second) is null) ? null : Words(path, before, now);
            case (JsonValue first, JsonValue second) when first.TryGetValue<double>(out var a) && second.TryGetValue<double>(out var b):
                return Math.Abs(a - b) <= Tolerance * Math.Max(Math.Abs(a), Math.Abs(b)) ? null : Words(path, before, now);
            default:
                return JsonNode.DeepEquals(before, now) ? null : Words(path, before, now);
        }
    }

    private static string Words(string path, JsonNode? before, JsonNode? now)
        => $"{path.Replace('_', ' ')} {Text(before)}, this trainer has {Text(now)}";

    private static string Text(JsonNode? node) => node switch
    {
        null => "none",
        JsonArray array => $"[{string.Join(", ", array.Select(Text))}]",
        JsonValue value when value.TryGetValue<double>(out var number) => number.ToString(CultureInfo.InvariantCulture),
        JsonValue value when value.TryGetValue<string>(out var text) => text,
        _ => node.ToJsonString(),
    };
}

/// <summary>The fingerprint of a schedule: its noise levels and the timesteps passed to the network, at nine times.</summary>
/// <param name="MinTime">The time with the least noise.</param>
/// <param name="MaxTime">The time with the most noise.</param>
/// <param name="Alphas">The scale of the data at nine evenly spaced times.</param>
/// <param name="Sigmas">The standard deviation of the noise at the same times.</param>
/// <param name="ModelTimesteps">
/// The timesteps passed to the network at the same times; <see langword="null"/> if they equal the times.
/// </param>
internal sealed record ScheduleFingerprint(
    double MinTime,
    double MaxTime,
    IReadOnlyList<double> Alphas,
    IReadOnlyList<double> Sigmas,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<double>? ModelTimesteps = null)
{
    private const int Times = 9;

    /// <summary>The relative tolerance, for mathematical libraries whose results differ in the last digits.</summary>
    private const double Tolerance = 1e-9;

    /// <summary>Returns the fingerprint of a schedule.</summary>
    public static ScheduleFingerprint Of(INoiseSchedule schedule)
    {
        var times = new double[Times];
        for (var i = 0; i < Times; i++)
            times[i] = TimeAt(schedule.MinTime, schedule.MaxTime, i);
        var levels = Array.ConvertAll(times, schedule.LevelAt);
        var actual = Array.ConvertAll(times, schedule.ModelTimestep);
        return new ScheduleFingerprint(
            schedule.MinTime,
            schedule.MaxTime,
            Array.ConvertAll(levels, level => level.Alpha),
            Array.ConvertAll(levels, level => level.Sigma),
            actual.AsSpan().SequenceEqual(times) ? null : actual);
    }

    /// <summary>Returns a description of the first difference from another schedule; <see langword="null"/> if there is none.</summary>
    public string? DifferenceFrom(ScheduleFingerprint actual)
    {
        if (!Near(MinTime, actual.MinTime) || !Near(MaxTime, actual.MaxTime))
            return Text($"times from {MinTime} to {MaxTime}, not {actual.MinTime} to {actual.MaxTime}");
        for (var i = 0; i < Times; i++)
        {
            var t = TimeAt(MinTime, MaxTime, i);
            if (Alphas.Count != Times || Sigmas.Count != Times || !Near(Alphas[i], actual.Alphas[i]) || !Near(Sigmas[i], actual.Sigmas[i]))
            {
                var (alpha, sigma) = (Alphas.ElementAtOrDefault(i), Sigmas.ElementAtOrDefault(i));
                return Text($"alpha {alpha:G6} and sigma {sigma:G6} at time {t}, not {actual.Alphas[i]:G6} and {actual.Sigmas[i]:G6}");
            }

            var (expected, got) = (ModelTimesteps is null ? t : ModelTimesteps.ElementAtOrDefault(i), actual.ModelTimesteps?[i] ?? t);
            if (!Near(expected, got))
                return Text($"a model timestep of {expected:G6} at time {t}, not {got:G6}");
        }

        return null;
    }

    private static double TimeAt(double min, double max, int index) => min + ((max - min) * index / (Times - 1));

    private static bool Near(double a, double b) => a.Equals(b) || Math.Abs(a - b) <= Tolerance * Math.Max(Math.Abs(a), Math.Abs(b));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
