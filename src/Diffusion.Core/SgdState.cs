using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>The velocity of <see cref="Sgd"/>, under PyTorch's name.</summary>
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
