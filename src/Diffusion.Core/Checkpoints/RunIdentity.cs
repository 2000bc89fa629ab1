using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Diffusion.Core.Losses;
using Diffusion.Core.Schedules;

namespace Diffusion.Core;

/// <summary>What a checkpoint records in addition to the state of a trainer, to compare it when the run is resumed.</summary>
internal sealed record RunIdentity
{
    /// <summary>Room for mathematical libraries that differ in the last digits.</summary>
    private const double Tolerance = 1e-9;

    /// <summary>The options of a network, where files can hold them; its tensors have names and shapes in any case.</summary>
    private const string Network = "network";

    /// <summary>What changes the memory or time a network takes, and no result.</summary>
    private static readonly string[] Harmless = ["use_gradient_checkpointing"];

    /// <summary>The noise schedule; <see langword="null"/> for a trainer without one.</summary>
    public ScheduleFingerprint? Schedule { get; init; }

    /// <summary>Settings that must be the same, by name.</summary>
    public JsonObject Settings { get; init; } = [];

    /// <summary>Returns the content of <c>model.json</c>; <see langword="null"/> for a trainer without a diffusion model.</summary>
    public Func<string>? Model { get; init; }

    /// <summary>The timestep sampler whose state is part of the checkpoint; <see langword="null"/> for none.</summary>
    public IAdaptiveTimestepSampler? Timesteps { get; init; }

    /// <summary>The first difference, such as <c>optimizer AdamW, this trainer has Lion</c>; null where there is none.</summary>
    /// <remarks>Only text compares: a number in memory has a type, which one that was read has not.</remarks>
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

/// <summary>A schedule, recognised by its noise levels, and what its network is told, at a few times.</summary>
/// <param name="MinTime">The time of least noise.</param>
/// <param name="MaxTime">The time of most noise.</param>
/// <param name="Alphas">The scale of the data at nine times, evenly spread.</param>
/// <param name="Sigmas">The standard deviation of the noise at the same times.</param>
/// <param name="ModelTimesteps">What a network is told at the same times; null where that is the times themselves.</param>
internal sealed record ScheduleFingerprint(
    double MinTime,
    double MaxTime,
    IReadOnlyList<double> Alphas,
    IReadOnlyList<double> Sigmas,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<double>? ModelTimesteps = null)
{
    private const int Times = 9;

    /// <summary>Room for mathematical libraries that differ in the last digits.</summary>
    private const double Tolerance = 1e-9;

    /// <summary>The fingerprint of a schedule.</summary>
    public static ScheduleFingerprint Of(INoiseSchedule schedule)
    {
        var times = new double[Times];
        for (var i = 0; i < Times; i++)
            times[i] = TimeAt(schedule.MinTime, schedule.MaxTime, i);
        var levels = Array.ConvertAll(times, schedule.LevelAt);
        var told = Array.ConvertAll(times, schedule.ModelTimestep);
        return new ScheduleFingerprint(
            schedule.MinTime,
            schedule.MaxTime,
            Array.ConvertAll(levels, level => level.Alpha),
            Array.ConvertAll(levels, level => level.Sigma),
            told.AsSpan().SequenceEqual(times) ? null : told);
    }

    /// <summary>The first difference from another schedule, in words; null where there is none.</summary>
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

            var (expected, told) = (ModelTimesteps is null ? t : ModelTimesteps.ElementAtOrDefault(i), actual.ModelTimesteps?[i] ?? t);
            if (!Near(expected, told))
                return Text($"a network that is told {expected:G6} at time {t}, not {told:G6}");
        }

        return null;
    }

    private static double TimeAt(double min, double max, int index) => min + ((max - min) * index / (Times - 1));

    private static bool Near(double a, double b) => a.Equals(b) || Math.Abs(a - b) <= Tolerance * Math.Max(Math.Abs(a), Math.Abs(b));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
