using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>The momentum of <see cref="Lion"/>.</summary>
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

        // b2 m + (1 - b2) g in terms of the blend b1 m + (1 - b1) g, which took the place of the gradient.
        var share = (1.0 - beta2) / (1.0 - beta1);
        _momentum.mul_(apply.Mul(beta2 - (share * beta1) - 1.0).Add_(1.0)).Addcmul_(blend, apply.Mul(share).to(_layout.Dtype), 1.0);
        _layout.Move(weights, blend.sign_(), apply.Mul(-learningRate));
    }

    /// <inheritdoc/>
    public void Dispose() => _momentum.Dispose();
}
