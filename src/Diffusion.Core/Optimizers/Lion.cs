using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The Lion optimizer: each step follows the sign of an interpolation of momentum and gradient. Its state takes half the memory of Adam's.
/// </summary>
/// <remarks>
/// Source: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2. The authors recommend a learning rate 3 to
/// 10 times smaller than that of AdamW, and a weight decay larger by the same factor.
/// </remarks>
public sealed record Lion : IOptimizer
{
    /// <inheritdoc/>
    public string Name => nameof(Lion);

    /// <summary>The share of the momentum in the direction of a step. The default is 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>The decay of the momentum. The default is 0.99.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <summary>The decoupled weight decay. The default is 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public IOptimizerState Start(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Guard.InRange(Beta1, 0.0, Math.BitDecrement(1.0));
        Guard.InRange(Beta2, 0.0, Math.BitDecrement(1.0));
        Guard.Factor(WeightDecay);
        return new LionState(this, layout);
    }
}

/// <summary>The state of <see cref="Lion"/>: its momentum.</summary>
internal sealed class LionState : IOptimizerState
{
    private readonly Lion _settings;
    private readonly FlatLayout _layout;
    private readonly Tensor _momentum;

    public LionState(Lion settings, FlatLayout layout)
    {
        (_settings, _layout, _momentum) = (settings, layout, layout.NewBuffer());
        Tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal) { ["exp_avg"] = _momentum };
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, Tensor> Tensors { get; }

    /// <inheritdoc/>
    public void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply)
    {
        using var scope = NewDisposeScope();
        if (_settings.WeightDecay != 0.0)
            _layout.Decay(weights, apply.Mul(learningRate * _settings.WeightDecay));
        var (beta1, beta2) = (_settings.Beta1, _settings.Beta2);
        var blend = gradients.Mul_(1.0 - beta1).Add_(_momentum, beta1);

        // b2 m + (1 - b2) g in terms of the interpolation b1 m + (1 - b1) g, which has overwritten the gradient.
        var share = (1.0 - beta2) / (1.0 - beta1);
        _momentum.mul_(apply.Mul(beta2 - (share * beta1) - 1.0).Add_(1.0)).Addcmul_(blend, apply.Mul(share).to(_layout.Dtype), 1.0);
        _layout.Move(weights, blend.sign_(), apply.Mul(-learningRate));
    }

    /// <inheritdoc/>
    public void Dispose() => _momentum.Dispose();
}
