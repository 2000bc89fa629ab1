namespace Diffusion.Core.Schedules;

/// <summary>
/// A noise schedule: the scale of the data and the standard deviation of the noise at each time. Schedules are immutable, compute in
/// double precision, and do not depend on tensors or models. A custom schedule implements three members;
/// <see cref="NoiseScheduleExtensions"/> derives everything else from them, such as alpha, sigma, the log-SNR, and the time of a given
/// log-SNR.
/// </summary>
/// <remarks>
/// Times increase with the noise, from <see cref="MinTime"/> to <see cref="MaxTime"/>, and the log-SNR decreases strictly. A
/// <see cref="DiscreteSchedule"/> uses the indices 0..T-1, where index 0 is the first noise step; the documentation of a continuous
/// schedule specifies the meaning of t.
/// </remarks>
public interface INoiseSchedule
{
    /// <summary>The time with the least noise.</summary>
    double MinTime { get; }

    /// <summary>The time with the most noise.</summary>
    double MaxTime { get; }

    /// <summary>Returns the scale of the data and the standard deviation of the noise at time <paramref name="t"/>.</summary>
    /// <param name="t">A time in [<see cref="MinTime"/>, <see cref="MaxTime"/>].</param>
    /// <exception cref="ArgumentOutOfRangeException">t is outside that range.</exception>
    NoiseLevel LevelAt(double t);

    /// <summary>
    /// Returns the timestep passed to the network at time <paramref name="t"/>. The default implementation returns t. A respaced
    /// schedule returns the index in the original schedule, with which its network was trained.
    /// </summary>
    /// <param name="t">A time in [<see cref="MinTime"/>, <see cref="MaxTime"/>].</param>
    double ModelTimestep(double t) => t;

    /// <summary>
    /// Returns the time with the given log-SNR, which must be within the range of the schedule;
    /// <see cref="NoiseScheduleExtensions.TimeOf"/> checks this. The default implementation is a numerical search. Override it if the
    /// inverse has a closed form.
    /// </summary>
    /// <param name="logSnr">log(alpha^2 / sigma^2) in nats, finite.</param>
    double InvertLogSnr(double logSnr) => LogSnrSearch.Find(this, logSnr);
}

/// <summary>Extension methods that are derived from the noise levels of any schedule.</summary>
public static class NoiseScheduleExtensions
{
    /// <summary>
    /// Throws if the log-SNR is not a number, or does not decrease strictly over 1,001 equally spaced times. Models check their schedules; a
    /// <see cref="DiscreteSchedule"/> is checked when it is created.
    /// </summary>
    /// <exception cref="ArgumentException">The log-SNR does not decrease strictly.</exception>
    public static void Validate(this INoiseSchedule schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        if (schedule is DiscreteSchedule)
            return;
        if (!(schedule.MinTime < schedule.MaxTime))
            throw new ArgumentException(
                Invariant($"The times of a schedule must have MinTime < MaxTime, got {schedule.MinTime:R} and {schedule.MaxTime:R}."),
                nameof(schedule));
        LogSnrSearch.RequireFalling(schedule, nameof(schedule));
    }

    /// <summary>
    /// Returns the scale of the data at time <paramref name="t"/>: <c>sqrt(abar_t)</c> in a variance preserving process.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">t is outside the range of the schedule.</exception>
    public static double Alpha(this INoiseSchedule schedule, double t) => LevelAt(schedule, t).Alpha;

    /// <summary>Returns the standard deviation of the noise at time <paramref name="t"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">t is outside the range of the schedule.</exception>
    public static double Sigma(this INoiseSchedule schedule, double t) => LevelAt(schedule, t).Sigma;

    /// <summary>Returns log(alpha^2 / sigma^2) at time <paramref name="t"/>, in nats.</summary>
    /// <exception cref="ArgumentOutOfRangeException">t is outside the range of the schedule.</exception>
    public static double LogSnr(this INoiseSchedule schedule, double t) => LevelAt(schedule, t).LogSnr;

    /// <summary>
    /// Returns the time at which a schedule has the given log-SNR. It may lie between the indices of a discrete schedule.
    /// </summary>
    /// <param name="schedule">Any schedule.</param>
    /// <param name="logSnr">log(alpha^2 / sigma^2) in nats, finite, between the log-SNRs of the two ends of the schedule.</param>
    /// <returns>A time in [MinTime, MaxTime], accurate to about 14 digits of that range.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The log-SNR is not finite, or outside the range of the schedule.</exception>
    /// <remarks>
    /// Uses <see cref="INoiseSchedule.InvertLogSnr"/>: a closed form where the schedule has one, a binary search in the table of a
    /// discrete schedule, or a root finder, which only requires that the log-SNR decreases.
    /// </remarks>
    public static double TimeOf(this INoiseSchedule schedule, double logSnr)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        var (first, last) = (schedule.LevelAt(schedule.MinTime).LogSnr, schedule.LevelAt(schedule.MaxTime).LogSnr);
        if (!(logSnr <= first && logSnr >= last && double.IsFinite(logSnr)))
            throw new ArgumentOutOfRangeException(
                nameof(logSnr), logSnr, Invariant($"The log-SNR of this schedule falls from {first} to {last}, got {logSnr}."));
        if (logSnr == first)
            return schedule.MinTime;
        return logSnr == last ? schedule.MaxTime : Math.Clamp(schedule.InvertLogSnr(logSnr), schedule.MinTime, schedule.MaxTime);
    }

    /// <summary>
    /// Returns the noise level one step before a time: on a <see cref="DiscreteSchedule"/>, the level of the previous index. A
    /// continuous schedule has no previous step; <paramref name="level"/> is then returned.
    /// </summary>
    /// <param name="schedule">Any schedule.</param>
    /// <param name="time">A time of the schedule. For a discrete schedule, it is rounded to an index.</param>
    /// <param name="level">alpha and sigma at that time.</param>
    /// <exception cref="ArgumentOutOfRangeException">The time is outside the range of a discrete schedule.</exception>
    public static NoiseLevel PreviousLevel(this INoiseSchedule schedule, double time, NoiseLevel level)
        => schedule is DiscreteSchedule discrete ? discrete.PreviousLevel((int)Math.Round(time)) : level;

    private static NoiseLevel LevelAt(INoiseSchedule schedule, double t)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        return schedule.LevelAt(t);
    }
}
