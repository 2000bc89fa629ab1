using MathNet.Numerics.RootFinding;

namespace Diffusion.Core.Schedules;

/// <summary>Numerical inversion of a log-SNR, which only has to be strictly decreasing.</summary>
internal static class LogSnrSearch
{
    // Replaces an infinite log-SNR (data without noise, or noise without data), since the root finder requires finite values.
    private const double Bound = 1e4;

    /// <summary>Returns the time of a log-SNR, computed with Brent's method to about 14 digits of the range of times.</summary>
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

    /// <summary>Throws an exception if the log-SNR of a schedule does not decrease strictly over 1,001 equally spaced times.</summary>
    /// <exception cref="ArgumentException">The log-SNR does not decrease strictly.</exception>
    public static void RequireFalling(INoiseSchedule schedule, string name)
    {
        const int Count = 1000;
        var (before, last) = (double.PositiveInfinity, double.PositiveInfinity);
        for (var i = 0; i <= Count; i++)
        {
            var t = schedule.MinTime + ((schedule.MaxTime - schedule.MinTime) * i / Count);
            (before, last) = (last, schedule.LevelAt(Math.Min(t, schedule.MaxTime)).LogSnr);
            if (!(last < before || i == 0) || double.IsNaN(last))
                throw new ArgumentException(
                    Invariant($"The log-SNR must fall strictly with t, got {before:R} and then {last:R} at t = {t:R}."), name);
        }
    }
}
