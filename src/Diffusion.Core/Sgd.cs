namespace Diffusion.Core;

/// <summary>Stochastic gradient descent, with momentum where asked for.</summary>
/// <remarks>
/// Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", in the form of PyTorch's
/// <c>SGD</c>: the learning rate multiplies the velocity, the velocity starts as the first gradient, undamped, and the gradient of the
/// weight decay is added to that of the loss.
/// </remarks>
public sealed record Sgd : IOptimizer
{
    /// <inheritdoc/>
    public string Name => nameof(Sgd);

    /// <summary>How much of the velocity survives a step: 0.9. 0 keeps none, and no memory for it.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>How much of the gradient does not enter the velocity: 0.</summary>
    public double Dampening { get; init; }

    /// <summary>
    /// Whether the gradient counts as if taken after the momentum (Nesterov), which goes with a momentum and no dampening: not.
    /// </summary>
    public bool Nesterov { get; init; }

    /// <summary>The weight of half the squared norm of the weights in the loss: 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public IOptimizerState Start(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Guard.InRange(Momentum, Nesterov ? double.Epsilon : 0.0, Math.BitDecrement(1.0));
        Guard.InRange(Dampening, 0.0, Nesterov ? 0.0 : 1.0);
        Guard.InRange(WeightDecay, 0.0, double.MaxValue);
        return new SgdState(this, layout);
    }
}
