using Diffusion.Core.Schedules;

namespace Diffusion.Core.Losses;

/// <summary>How much each noise level counts in a loss, as pure algebra over alpha and sigma.</summary>
/// <remarks>
/// A network that predicts x_0 = a x_t + b output has an error in x_0 that is b times the error in its output, whatever it predicts. So
/// most weightings are stated once, as a weight w of the squared error in x_0, and weigh the squared error of an output by w b^2:
/// one model in any parametrisation then has one loss. <see cref="LossWeighting.OfData"/> makes a weighting from such a w.
/// </remarks>
public interface ILossWeighting
{
    /// <summary>The field's name of the weighting, such as <c>min-snr</c>.</summary>
    string Name { get; }

    /// <summary>The weight of the distance between the output of a network and its target.</summary>
    /// <param name="level">alpha and sigma at t; either may be 0.</param>
    /// <param name="previous">alpha and sigma one step nearer to the data; few predictions need it.</param>
    /// <param name="prediction">What the network predicts.</param>
    /// <returns>Finite and not negative.</returns>
    double Weight(NoiseLevel level, NoiseLevel previous, IPrediction prediction);
}
