namespace Diffusion.Core.Schedules;

/// <summary>
/// The variance of p(x_{t-1} | x_t): a number that the schedule fixes, or one that the network learns. Either way its logarithm is
/// linear in what the network says, <c>log variance = First + Second * v</c>, so that a strategy is one pair of numbers for each step.
/// </summary>
public interface IReverseVariance
{
    /// <summary>The field's name of the strategy, such as <c>fixed-small</c>.</summary>
    string Name { get; }

    /// <summary>
    /// True where the network has v: its output then has twice the channels of x_t, the prediction in the first half and v in the second.
    /// </summary>
    bool IsLearned => false;

    /// <summary>The log variance of a step as coefficients of (1, v); the second is zero unless the variance is learned.</summary>
    /// <returns>Finite numbers, where <see cref="ReverseTransition.FinalVariance"/> is not zero.</returns>
    LinearPair LogVariance(ReverseTransition transition);

    /// <summary>
    /// The variance of a step that is not learned. It differs from the exponential of the log variance only where that has to be kept
    /// finite.
    /// </summary>
    double Variance(ReverseTransition transition) => Math.Exp(LogVariance(transition).First);
}
