using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Adam with decoupled weight decay.</summary>
/// <remarks>
/// Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2, with the learning rate as the schedule
/// multiplier of both terms, as is usual.
/// </remarks>
public sealed record AdamW : IOptimizer
{
    /// <inheritdoc/>
    public string Name => nameof(AdamW);

    /// <summary>The decay of the average of the gradients: 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>The decay of the average of the squared gradients: 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the squared gradients: 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>
    /// The decoupled weight decay: 0, as in the papers on diffusion, where averaging and dropout regularise. Parameters it does not apply
    /// to are told by <see cref="TrainerOptions.ParameterGroups"/>.
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
        return new State(this, layout);
    }

    /// <summary>
    /// The bias corrections are running averages of ones, kept beside the moments: a skipped step leaves them as it leaves the moments.
    /// </summary>
    private sealed class State : IOptimizerState
    {
        /// <summary>Below any correction that a step leaves, and a safe divisor in float32.</summary>
        private const double Tiny = 1e-30;

        private readonly AdamW _settings;
        private readonly FlatLayout _layout;
        private readonly Tensor _first;
        private readonly Tensor _second;
        private readonly Tensor _firstCorrection;
        private readonly Tensor _secondCorrection;
        private readonly Tensor _one;

        public State(AdamW settings, FlatLayout layout)
        {
            (_settings, _layout) = (settings, layout);
            (_first, _second) = (layout.NewBuffer(), layout.NewBuffer());
            (_firstCorrection, _secondCorrection, _one) = (layout.NewNumber(0.0), layout.NewNumber(0.0), layout.NewNumber(1.0));
            Tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal)
            {
                ["exp_avg"] = _first,
                ["exp_avg_sq"] = _second,
                ["exp_avg_correction"] = _firstCorrection,
                ["exp_avg_sq_correction"] = _secondCorrection,
            };
        }

        public IReadOnlyDictionary<string, Tensor> Tensors { get; }

        public void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply)
        {
            using var scope = NewDisposeScope();
            var weight1 = apply.mul(1.0 - _settings.Beta1);
            var weight2 = apply.mul(1.0 - _settings.Beta2);
            _firstCorrection.lerp_(_one, weight1);
            _secondCorrection.lerp_(_one, weight2);
            // The gradients of a step that is not taken are zero: what is added then is nothing.
            _first.mul_(Cast(weight1.mul(-1.0).add_(1.0))).add_(gradients, alpha: 1.0 - _settings.Beta1);
            _second.mul_(Cast(weight2.mul(-1.0).add_(1.0))).addcmul_(gradients, gradients, 1.0 - _settings.Beta2);

            // m / c1 over sqrt(v / c2) + eps is m sqrt(c2) / c1 over sqrt(v) + eps sqrt(c2): two sweeps fewer. Before the first step that
            // is taken the corrections are zero, and so is what they divide.
            var scale = _secondCorrection.clamp_min(Tiny).sqrt_();
            var size = apply.mul(-learningRate).mul_(scale).div_(_firstCorrection.clamp_min(Tiny));
            using var divisor = _second.sqrt();
            var direction = _first.div(divisor.add_(Cast(scale.mul(_settings.Epsilon))));
            if (_settings.WeightDecay != 0.0)
                _layout.Decay(weights, apply.mul(learningRate * _settings.WeightDecay));
            _layout.Move(weights, direction, size);
        }

        public void Dispose()
        {
            foreach (var tensor in (Tensor[])[_first, _second, _firstCorrection, _secondCorrection, _one])
                tensor.Dispose();
        }

        private Tensor Cast(Tensor scalar) => scalar.to(_layout.Dtype);
    }
}
