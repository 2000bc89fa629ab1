using MathNet.Numerics.RootFinding;

namespace Diffusion.Core.Schedules;

/// <summary>The inverse of a log-SNR of which nothing is known but that it falls.</summary>
internal static class LogSnrSearch
{
    // Stands for the infinite log-SNR of data without noise, or noise without data, where a root finder needs a number.
    private const double Bound = 1e4;

    /// <summary>The time of a log-SNR, by Brent's root finder, to about 14 digits of the range of times.</summary>
    public static double Find(INoiseSchedule schedule, double logSnr)
    {
        if (Distance(schedule.MinTime) <= 0.0)
            return schedule.MinTime;
        if (Distance(schedule.MaxTime) >= 0.0)
            return schedule.MaxTime;
        var accuracy = (schedule.MaxTime - schedule.MinTime) * 1e-15;
        return Brent.FindRoot(Distance, schedule.MinTime, schedule.MaxTime, accuracy, maxIterations: 200);

        double Distance(double t) => Math.Clamp(schedule.LevelAt(t).LogSnr, -Bound, Bound) - logSnr;
    }

    /// <summary>Throws for a schedule whose log-SNR does not fall strictly at 1,000 times spread over its range.</summary>
    /// <exception cref="ArgumentException">It does not.</exception>
    public static void RequireFalling(INoiseSchedule schedule, string name)
    {
        const int Count = 1000;
        var (before, last) = (double.PositiveInfinity, double.PositiveInfinity);
        for (var i = 0; i <= Count; i++)
        {
            var t = schedule.MinTime + ((schedule.MaxTime - schedule.MinTime) * i / Count);
            (before, last) = (last, schedule.LevelAt(Math.Min(t, schedule.MaxTime)).LogSnr);
            if (!(last < before || i == 0) || double.IsNaN(last))
                throw new ArgumentException($"The log-SNR must fall strictly with t, got {before:R} and then {last:R} at t = {t:R}.", name);
        }
    }
}
