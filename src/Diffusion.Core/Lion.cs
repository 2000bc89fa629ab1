namespace Diffusion.Core;

/// <summary>Steps of one size in each element, along the sign of a blend of momentum and gradient; half the memory of Adam.</summary>
/// <remarks>
/// Source: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2. Its authors advise a learning rate 3 to 10
/// times smaller than AdamW's, and a weight decay as many times larger.
/// </remarks>
public sealed record Lion : IOptimizer
{
    /// <inheritdoc/>
    public string Name => nameof(Lion);

    /// <summary>The share of the momentum in the direction of a step: 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>The decay of the momentum: 0.99.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <summary>The decoupled weight decay: 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public IOptimizerState Start(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Guard.InRange(Beta1, 0.0, Math.BitDecrement(1.0));
        Guard.InRange(Beta2, 0.0, Math.BitDecrement(1.0));
        Guard.InRange(WeightDecay, 0.0, double.MaxValue);
        return new LionState(this, layout);
    }
}
