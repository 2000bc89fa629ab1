namespace Diffusion.Core;

/// <summary>What <see cref="Adam"/> and <see cref="AdamW"/> share, which is everything but what becomes of the weight decay.</summary>
/// <remarks>Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1.</remarks>
public abstract record AdamOptimizer : IOptimizer
{
    private protected AdamOptimizer()
    {
    }

    /// <inheritdoc/>
    public string Name => GetType().Name;

    /// <summary>The decay of the average of the gradients: 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>The decay of the average of the squared gradients: 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the squared gradients: 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>
    /// The weight decay: 0, as in the papers on diffusion, where averaging and dropout regularise. Parameters it does not apply to are
    /// told by <see cref="TrainerOptions.ParameterGroups"/>.
    /// </summary>
    public double WeightDecay { get; init; }

    /// <summary>Whether the weight decay stays apart from the gradients.</summary>
    private protected abstract bool IsDecoupled { get; }

    /// <inheritdoc/>
    public IOptimizerState Start(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Guard.InRange(Beta1, 0.0, Math.BitDecrement(1.0));
        Guard.InRange(Beta2, 0.0, Math.BitDecrement(1.0));
        Guard.Positive(Epsilon);
        Guard.InRange(WeightDecay, 0.0, double.MaxValue);
        return new AdamState(layout, Beta1, Beta2, Epsilon, WeightDecay, IsDecoupled);
    }
}
