using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Stochastic gradient descent (SGD), with momentum by default.</summary>
/// <remarks>
/// Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", in the form of PyTorch's
/// <c>SGD</c>: the velocity is multiplied by the learning rate, the first gradient is added to the velocity without dampening, and the
/// gradient of the weight decay is added to that of the loss.
/// </remarks>
public sealed record Sgd : IOptimizer
{
    /// <inheritdoc/>
    public string Name => nameof(Sgd);

    /// <summary>
    /// The factor by which the velocity is multiplied in each step. The default is 0.9. If it is 0, no velocity is stored.
    /// </summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>The share of the gradient that is not added to the velocity. The default is 0.</summary>
    public double Dampening { get; init; }

    /// <summary>
    /// Whether Nesterov momentum is used. It requires a momentum greater than 0 and a dampening of 0. The default is
    /// <see langword="false"/>.
    /// </summary>
    public bool Nesterov { get; init; }

    /// <summary>The weight decay: the coefficient of half the squared norm of the weights in the loss. The default is 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public IOptimizerState Start(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Guard.InRange(Momentum, Nesterov ? double.Epsilon : 0.0, Math.BitDecrement(1.0));
        Guard.InRange(Dampening, 0.0, Nesterov ? 0.0 : 1.0);
        Guard.Factor(WeightDecay);
        return new SgdState(this, layout);
    }
}

/// <summary>The state of <see cref="Sgd"/>: the velocity, named as in PyTorch, and the step.</summary>
internal sealed class SgdState : IOptimizerState
{
    private readonly Sgd _settings;
    private readonly FlatLayout _layout;
    private readonly Tensor? _velocity;
    private readonly Tensor? _step;

    public SgdState(Sgd settings, FlatLayout layout)
    {
        (_settings, _layout) = (settings, layout);
        var tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        if (settings.Momentum != 0.0)
        {
            tensors["momentum_buffer"] = _velocity = layout.NewBuffer();
            tensors["step"] = _step = layout.NewNumber(0.0);
        }

        Tensors = tensors;
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, Tensor> Tensors { get; }

    /// <inheritdoc/>
    public void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply)
    {
        using var scope = NewDisposeScope();
        if (_settings.WeightDecay != 0.0)
            _layout.AddDecay(gradients, weights, apply.Mul(_settings.WeightDecay));
        var direction = gradients;
        if (_velocity is not null && _step is not null)
        {
            // The first gradient is not dampened.
            var share = _step.Clamp(0.0, 1.0).Mul_(-_settings.Dampening).Add_(1.0).mul_(apply);
            _velocity.mul_(apply.Mul(_settings.Momentum - 1.0).Add_(1.0)).Addcmul_(gradients, share.to(_layout.Dtype), 1.0);
            _step.Add_(apply);
            direction = _settings.Nesterov ? gradients.Add_(_velocity, _settings.Momentum) : _velocity;
        }

        _layout.Move(weights, direction, apply.Mul(-learningRate));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _velocity?.Dispose();
        _step?.Dispose();
    }
}
