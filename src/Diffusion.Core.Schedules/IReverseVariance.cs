namespace Diffusion.Core.Schedules;

/// <summary>
/// The variance of the reverse step p(x_s | x_t) where it is a number rather than the network's answer, as pure algebra over noise
/// levels. Implement this interface for one of your own.
/// </summary>
public interface IReverseVariance
{
    /// <summary>The field's name of the choice, such as <c>fixed_small</c>.</summary>
    string Name { get; }

    /// <summary>The variance of the step from <paramref name="level"/> to <paramref name="earlier"/>.</summary>
    /// <param name="level">alpha and sigma at t.</param>
    /// <param name="earlier">alpha and sigma where the step leads; between neighbours of a discrete schedule, those at t - 1.</param>
    double Variance(NoiseLevel level, NoiseLevel earlier);
}
