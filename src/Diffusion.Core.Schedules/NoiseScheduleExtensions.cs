namespace Diffusion.Core.Schedules;

/// <summary>What follows from the levels of any schedule.</summary>
public static class NoiseScheduleExtensions
{
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
    /// <remarks>
    /// By the schedule's own formula, a binary search in the table of a discrete one, or a root finder that needs no more of a schedule
    /// than that its log-SNR falls.
    /// </remarks>
    public static double TimeOf(this INoiseSchedule schedule, double logSnr)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        var (first, last) = (schedule.LevelAt(schedule.MinTime).LogSnr, schedule.LevelAt(schedule.MaxTime).LogSnr);
        if (!(logSnr <= first && logSnr >= last && double.IsFinite(logSnr)))
            throw new ArgumentOutOfRangeException(
                nameof(logSnr), logSnr, $"The log-SNR of this schedule falls from {first} to {last}, got {logSnr}.");
        if (logSnr == first)
            return schedule.MinTime;
        return logSnr == last ? schedule.MaxTime : Math.Clamp(schedule.InvertLogSnr(logSnr), schedule.MinTime, schedule.MaxTime);
    }

    private static NoiseLevel LevelAt(INoiseSchedule schedule, double t)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        return schedule.LevelAt(t);
    }
}
