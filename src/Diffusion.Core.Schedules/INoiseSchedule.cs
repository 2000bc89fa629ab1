namespace Diffusion.Core.Schedules;

/// <summary>
/// A noise schedule: how much data and how much noise there is at each time. Immutable, in double precision, and ignorant of
/// tensors and models. Implement these four members to bring a schedule of your own.
/// </summary>
/// <remarks>
/// Times grow with noise, from <see cref="MinTime"/> to <see cref="MaxTime"/>. A <see cref="DiscreteSchedule"/> uses the indices
/// 0..T-1, where index 0 is the first noise step; a continuous schedule says in its own documentation which t it means.
/// </remarks>
public interface INoiseSchedule
{
    /// <summary>The time of least noise.</summary>
    double MinTime { get; }

    /// <summary>The time of most noise.</summary>
    double MaxTime { get; }

    /// <summary>The scale of the data at time <paramref name="t"/>.</summary>
    double Alpha(double t);

    /// <summary>The standard deviation of the noise at time <paramref name="t"/>.</summary>
    double Sigma(double t);

    /// <summary>Both at once.</summary>
    NoiseLevel LevelAt(double t) => new(Alpha(t), Sigma(t));
}
