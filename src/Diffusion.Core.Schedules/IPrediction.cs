namespace Diffusion.Core.Schedules;

/// <summary>
/// What a network predicts, as pure algebra over alpha and sigma: the target it is trained on, and how its output turns back into
/// x_0 and eps. Every conversion is linear, so a prediction is three pairs of numbers; implement this interface for one of your own.
/// </summary>
public interface IPrediction
{
    /// <summary>The field's name of the prediction, such as <c>epsilon</c>.</summary>
    string Name { get; }

    /// <summary>
    /// True where the output is itself the mean of p(x_{t-1} | x_t), so that no other mean is formed from it, whatever happens to x_0.
    /// </summary>
    bool IsPosteriorMean => false;

    /// <summary>
    /// The factor by which x_t is scaled before the network sees it, c_in of Karras et al. 2022; null where the network sees x_t itself.
    /// The three pairs below are always in terms of x_t as it is, not scaled.
    /// </summary>
    Func<NoiseLevel, double>? InputScale => null;

    /// <summary>The training target as coefficients of (x_0, eps).</summary>
    /// <param name="level">alpha and sigma at t.</param>
    /// <param name="previous">alpha and sigma one step nearer to the data; most predictions do not need it.</param>
    LinearPair Target(NoiseLevel level, NoiseLevel previous);

    /// <summary>The predicted x_0 as coefficients of (x_t, network output).</summary>
    /// <inheritdoc cref="Target" path="/param"/>
    LinearPair ToData(NoiseLevel level, NoiseLevel previous);

    /// <summary>The predicted eps as coefficients of (x_t, network output).</summary>
    /// <inheritdoc cref="Target" path="/param"/>
    LinearPair ToNoise(NoiseLevel level, NoiseLevel previous);
}
