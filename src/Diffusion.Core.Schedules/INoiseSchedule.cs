namespace Diffusion.Core.Schedules;

/// <summary>
/// A noise schedule: how much data and how much noise there is at each time. Immutable, in double precision, and ignorant of
/// tensors and models. Implement three members to bring a schedule of your own; everything else about a schedule (its alpha,
/// sigma and log-SNR by name, the time of a given log-SNR) follows from them, in <see cref="NoiseScheduleExtensions"/>.
/// </summary>
/// <remarks>
/// Times grow with noise, from <see cref="MinTime"/> to <see cref="MaxTime"/>, and the log-SNR falls strictly. A
/// <see cref="DiscreteSchedule"/> uses the indices 0..T-1, where index 0 is the first noise step; a continuous schedule says in its
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
    /// What a network is told at time <paramref name="t"/>; t itself unless a schedule says otherwise, as one of fewer steps does, whose
    /// network knows the indices of the original.
    /// </summary>
    /// <param name="t">A time in [<see cref="MinTime"/>, <see cref="MaxTime"/>].</param>
    double NetworkTime(double t) => t;

    /// <summary>
    /// The time of a log-SNR that lies within the range of the schedule, which is for
    /// <see cref="NoiseScheduleExtensions.TimeOf"/> to check. A search, unless a schedule has a formula to put in its place.
    /// </summary>
    /// <param name="logSnr">log(alpha^2 / sigma^2) in nats, finite.</param>
    double InvertLogSnr(double logSnr) => LogSnrSearch.Find(this, logSnr);
}
