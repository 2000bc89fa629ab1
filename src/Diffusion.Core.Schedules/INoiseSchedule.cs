namespace Diffusion.Core.Schedules;

/// <summary>
/// A noise schedule: how much data and how much noise there is at each time. Immutable, in double precision, and ignorant of
/// tensors and models. Implement three members for a custom schedule; everything else about a schedule (its alpha,
/// sigma and log-SNR by name, the time of a given log-SNR) follows from them, in <see cref="NoiseScheduleExtensions"/>.
/// </summary>
/// <remarks>
/// Times grow with noise, from <see cref="MinTime"/> to <see cref="MaxTime"/>, and the log-SNR falls strictly. A
/// <see cref="DiscreteSchedule"/> uses the indices 0..T-1, where index 0 is the first noise step; a continuous schedule specifies in its
/// own documentation which t it means.
/// </remarks>
public interface INoiseSchedule
{
    /// <summary>The time of least noise.</summary>
    double MinTime { get; }

    /// <summary>The time of most noise.</summary>
    double MaxTime { get; }

    /// <summary>The scale of the data and the standard deviation of the noise at time <paramref name="t"/>.</summary>
    /// <param name="t">A time in [<see cref="MinTime"/>, <see cref="MaxTime"/>].</param>
    /// <exception cref="ArgumentOutOfRangeException">t lies outside that range.</exception>
    NoiseLevel LevelAt(double t);

    /// <summary>
    /// The timestep passed to the network at time <paramref name="t"/>: t itself by default. A schedule of fewer steps overrides it,
    /// because its
    /// network knows the indices of the original.
    /// </summary>
    /// <param name="t">A time in [<see cref="MinTime"/>, <see cref="MaxTime"/>].</param>
    double ModelTimestep(double t) => t;

    /// <summary>
    /// The time of a log-SNR that lies within the range of the schedule, which is for
    /// <see cref="NoiseScheduleExtensions.TimeOf"/> to check. A search, unless a schedule has a formula to put in its place.
    /// </summary>
    /// <param name="logSnr">log(alpha^2 / sigma^2) in nats, finite.</param>
    double InvertLogSnr(double logSnr) => LogSnrSearch.Find(this, logSnr);
}

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

    /// <summary>
    /// The level one step before a time: that of the index before on a <see cref="DiscreteSchedule"/>. A continuous schedule has no step
    /// before a time, and <paramref name="level"/> is returned.
    /// </summary>
    /// <param name="schedule">Any schedule.</param>
    /// <param name="time">A time of the schedule; rounded to an index of a discrete one.</param>
    /// <param name="level">alpha and sigma at that time.</param>
    /// <exception cref="ArgumentOutOfRangeException">The time lies outside the schedule.</exception>
    public static NoiseLevel PreviousLevel(this INoiseSchedule schedule, double time, NoiseLevel level)
        => schedule is DiscreteSchedule discrete ? discrete.PreviousLevel((int)Math.Round(time)) : level;

    private static NoiseLevel LevelAt(INoiseSchedule schedule, double t)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        return schedule.LevelAt(t);
    }
}
