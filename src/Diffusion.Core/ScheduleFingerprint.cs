using System.Globalization;
using Diffusion.Core.Schedules;

namespace Diffusion.Core;

/// <summary>A schedule, recognised by its noise levels at a few times.</summary>
/// <param name="MinTime">The time of least noise.</param>
/// <param name="MaxTime">The time of most noise.</param>
/// <param name="Alphas">The scale of the data at nine times, evenly spread.</param>
/// <param name="Sigmas">The standard deviation of the noise at the same times.</param>
internal sealed record ScheduleFingerprint(
    double MinTime, double MaxTime, IReadOnlyList<double> Alphas, IReadOnlyList<double> Sigmas)
{
    private const int Times = 9;

    /// <summary>Room for mathematical libraries that differ in the last digits.</summary>
    private const double Tolerance = 1e-9;

    /// <summary>The fingerprint of a schedule.</summary>
    public static ScheduleFingerprint Of(INoiseSchedule schedule)
    {
        var levels = new NoiseLevel[Times];
        for (var i = 0; i < Times; i++)
            levels[i] = schedule.LevelAt(schedule.MinTime + ((schedule.MaxTime - schedule.MinTime) * i / (Times - 1)));
        return new ScheduleFingerprint(
            schedule.MinTime, schedule.MaxTime, [.. levels.Select(level => level.Alpha)], [.. levels.Select(level => level.Sigma)]);
    }

    /// <summary>The first difference from another schedule, in words; null where there is none.</summary>
    public string? DifferenceFrom(ScheduleFingerprint actual)
    {
        if (!Near(MinTime, actual.MinTime) || !Near(MaxTime, actual.MaxTime))
            return Text($"times from {MinTime} to {MaxTime}, not {actual.MinTime} to {actual.MaxTime}");
        for (var i = 0; i < Times; i++)
        {
            if (Alphas.Count != Times || Sigmas.Count != Times || !Near(Alphas[i], actual.Alphas[i]) || !Near(Sigmas[i], actual.Sigmas[i]))
            {
                var t = MinTime + ((MaxTime - MinTime) * i / (Times - 1));
                var (alpha, sigma) = (Alphas.ElementAtOrDefault(i), Sigmas.ElementAtOrDefault(i));
                return Text($"alpha {alpha:G6} and sigma {sigma:G6} at time {t}, not {actual.Alphas[i]:G6} and {actual.Sigmas[i]:G6}");
            }
        }

        return null;
    }

    private static bool Near(double a, double b) => a.Equals(b) || Math.Abs(a - b) <= Tolerance * Math.Max(Math.Abs(a), Math.Abs(b));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
