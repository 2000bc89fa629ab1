using MathNet.Numerics.RootFinding;

namespace Diffusion.Core.Schedules;

/// <summary>What follows from the levels of any schedule.</summary>
public static class NoiseScheduleExtensions
{
    // Stands for the infinite log-SNR of data without noise, or noise without data, where a root finder needs a number.
    private const double LogSnrBound = 1e4;

    /// <summary>The scale of the data at time <paramref name="t"/>; <c>sqrt(abar_t)</c> in a variance preserving process.</summary>
    /// <exception cref="ArgumentOutOfRangeException">t lies outside the schedule.</exception>
    public static double Alpha(this INoiseSchedule schedule, double t) => LevelAt(schedule, t).Alpha;

    /// <summary>The standard deviation of the noise at time <paramref name="t"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">t lies outside the schedule.</exception>
    public static double Sigma(this INoiseSchedule schedule, double t) => LevelAt(schedule, t).Sigma;

    /// <summary>log(alpha^2 / sigma^2) at time <paramref name="t"/>, in nats.</summary>
    /// <exception cref="ArgumentOutOfRangeException">t lies outside the schedule.</exception>
    public static double LogSnr(this INoiseSchedule schedule, double t) => LevelAt(schedule, t).LogSnr;

    /// <summary>The time at which a schedule has the given log-SNR; between the indices of a discrete schedule, a fraction.</summary>
    /// <param name="schedule">Any schedule.</param>
    /// <param name="logSnr">log(alpha^2 / sigma^2) in nats, finite, between the log-SNRs of the two ends of the schedule.</param>
    /// <returns>t in [MinTime, MaxTime], to about 14 digits of that range.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The schedule does not reach that log-SNR.</exception>
    /// <remarks>By Brent's root finder, which needs no more of a schedule than that its log-SNR falls.</remarks>
    public static double TimeOf(this INoiseSchedule schedule, double logSnr)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        var (first, last) = (Distance(schedule.MinTime), Distance(schedule.MaxTime));
        if (!(first >= 0.0 && last <= 0.0 && double.IsFinite(logSnr)))
            throw new ArgumentOutOfRangeException(
                nameof(logSnr),
                logSnr,
                $"The log-SNR of this schedule falls from {schedule.LogSnr(schedule.MinTime)} to {schedule.LogSnr(schedule.MaxTime)}, " +
                $"got {logSnr}.");
        if (first == 0.0)
            return schedule.MinTime;
        if (last == 0.0)
            return schedule.MaxTime;
        var accuracy = (schedule.MaxTime - schedule.MinTime) * 1e-15;
        return Brent.FindRoot(Distance, schedule.MinTime, schedule.MaxTime, accuracy, maxIterations: 200);

        double Distance(double t) => Math.Clamp(schedule.LevelAt(t).LogSnr, -LogSnrBound, LogSnrBound) - logSnr;
    }

    private static NoiseLevel LevelAt(INoiseSchedule schedule, double t)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        return schedule.LevelAt(t);
    }
}
