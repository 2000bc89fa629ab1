using System.Globalization;
using System.Text.Json.Serialization;
using Diffusion.Core.Schedules;

namespace Diffusion.Core;

/// <summary>A schedule, recognised by its noise levels, and what its network is told, at a few times.</summary>
/// <param name="MinTime">The time of least noise.</param>
/// <param name="MaxTime">The time of most noise.</param>
/// <param name="Alphas">The scale of the data at nine times, evenly spread.</param>
/// <param name="Sigmas">The standard deviation of the noise at the same times.</param>
/// <param name="NetworkTimes">What a network is told at the same times; null where that is the times themselves.</param>
internal sealed record ScheduleFingerprint(
    double MinTime,
    double MaxTime,
    IReadOnlyList<double> Alphas,
    IReadOnlyList<double> Sigmas,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<double>? NetworkTimes = null)
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
        var told = Array.ConvertAll(times, schedule.NetworkTime);
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

            var (expected, told) = (NetworkTimes is null ? t : NetworkTimes.ElementAtOrDefault(i), actual.NetworkTimes?[i] ?? t);
            if (!Near(expected, told))
                return Text($"a network that is told {expected:G6} at time {t}, not {told:G6}");
        }

        return null;
    }

    private static double TimeAt(double min, double max, int index) => min + ((max - min) * index / (Times - 1));

    private static bool Near(double a, double b) => a.Equals(b) || Math.Abs(a - b) <= Tolerance * Math.Max(Math.Abs(a), Math.Abs(b));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
