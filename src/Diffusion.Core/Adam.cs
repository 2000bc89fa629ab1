namespace Diffusion.Core;

/// <summary>Steps along a running average of the gradients, each element divided by the root of that of its square.</summary>
/// <remarks>
/// Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1. With a weight decay its gradient is added to that
/// of the loss, as in PyTorch's <c>Adam</c>; <see cref="AdamW"/> keeps it apart, which is the better choice.
/// </remarks>
public sealed record Adam : IOptimizer
{
    /// <inheritdoc/>
    public string Name => nameof(Adam);

    /// <summary>The decay of the average of the gradients: 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>The decay of the average of the squared gradients: 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the squared gradients: 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>
    /// The weight of half the squared norm of the weights in the loss: 0. Parameters it does not apply to are told by
    /// <see cref="TrainerOptions.ParameterGroups"/>.
    /// </summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public IOptimizerState Start(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Guard.InRange(Beta1, 0.0, Math.BitDecrement(1.0));
        Guard.InRange(Beta2, 0.0, Math.BitDecrement(1.0));
        Guard.Positive(Epsilon);
        Guard.InRange(WeightDecay, 0.0, double.MaxValue);
        return new AdamState(layout, Beta1, Beta2, Epsilon, WeightDecay, isDecoupled: false);
    }
}
