namespace Diffusion.Core.Schedules;

/// <summary>
/// A noise schedule: how much data and how much noise there is at each time. Immutable, in double precision, and ignorant of
/// tensors and models. Implement these three members to bring a schedule of your own; everything else about a schedule (its alpha,
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
}
