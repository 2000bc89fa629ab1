using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Adam with decoupled weight decay over flat parameters.</summary>
/// <remarks>
/// Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2, with the learning rate as the schedule
/// multiplier of both terms, as is usual. The bias corrections are running averages of ones, kept beside the moments: a skipped step
/// leaves them as it leaves the moments.
/// </remarks>
internal sealed class AdamW : IDisposable
{
    /// <summary>Below any correction that a step leaves, and a safe divisor in float32.</summary>
    private const double Tiny = 1e-30;

    private readonly FlatParameters _parameters;
    private readonly double _beta1;
    private readonly double _beta2;
    private readonly double _epsilon;
    private readonly double _weightDecay;
    private readonly Tensor _one;

    /// <summary>An optimizer that has not seen a gradient.</summary>
    public AdamW(FlatParameters parameters, double beta1, double beta2, double epsilon, double weightDecay)
    {
        (_parameters, _beta1, _beta2, _epsilon, _weightDecay) = (parameters, beta1, beta2, epsilon, weightDecay);
        FirstMoment = parameters.NewBuffer();
        SecondMoment = parameters.NewBuffer();
        FirstCorrection = zeros([], dtype: ScalarType.Float64, device: parameters.Device).DetachFromDisposeScope();
        SecondCorrection = zeros([], dtype: ScalarType.Float64, device: parameters.Device).DetachFromDisposeScope();
        _one = ones([], dtype: ScalarType.Float64, device: parameters.Device).DetachFromDisposeScope();
    }

    /// <summary>[N] the running average of the gradients.</summary>
    public Tensor FirstMoment { get; }

    /// <summary>[N] the running average of the squared gradients.</summary>
    public Tensor SecondMoment { get; }

    /// <summary>[] float64, 1 - beta1^k after k steps.</summary>
    public Tensor FirstCorrection { get; }

    /// <summary>[] float64, 1 - beta2^k after k steps.</summary>
    public Tensor SecondCorrection { get; }

    /// <summary>One step along the gradients, which must be finite; zero where <paramref name="apply"/> is 0.</summary>
    /// <param name="learningRate">The rate of this step.</param>
    /// <param name="apply">[] float64 on the device: 1 to take the step, 0 to leave everything as it is.</param>
    public void Step(double learningRate, Tensor apply)
    {
        using var scope = NewDisposeScope();
        var (weights, gradients) = (_parameters.Values, _parameters.Gradients);
        var weight1 = apply.mul(1.0 - _beta1);
        var weight2 = apply.mul(1.0 - _beta2);
        FirstCorrection.lerp_(_one, weight1);
        SecondCorrection.lerp_(_one, weight2);
        FirstMoment.lerp_(gradients, Cast(weight1));
        var buffer = gradients.mul(gradients);
        SecondMoment.lerp_(buffer, Cast(weight2));

        // Before the first step that is taken the corrections are zero, and so is what they divide.
        var size = apply.mul(-learningRate).div(FirstCorrection.clamp_min(Tiny));
        var scale = SecondCorrection.clamp_min(Tiny).rsqrt();
        buffer.copy_(SecondMoment);
        buffer.sqrt_();
        buffer.mul_(Cast(scale));
        buffer.add_(_epsilon);
        var direction = FirstMoment.div(buffer);
        if (_weightDecay != 0.0)
            weights.mul_(Cast(apply.mul(-learningRate * _weightDecay).add(1.0)));
        weights.addcmul_(direction, Cast(size), 1.0);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        FirstMoment.Dispose();
        SecondMoment.Dispose();
        FirstCorrection.Dispose();
        SecondCorrection.Dispose();
        _one.Dispose();
    }

    private Tensor Cast(Tensor scalar) => scalar.to(_parameters.Dtype);
}
