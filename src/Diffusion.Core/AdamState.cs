using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>What Adam remembers, with either kind of weight decay. The names are PyTorch's.</summary>
/// <remarks>
/// Nine passes over the buffers, all in place and of vector instructions. The bias corrections, the step size of the published form and its
/// epsilon are folded into two numbers by which the root of the second moment is scaled and shifted. Where a step is skipped the shift is
/// infinite, and so what is added to the weights zero.
/// </remarks>
internal sealed class AdamState : IOptimizerState
{
    /// <summary>Below any correction that a step leaves, and a safe divisor.</summary>
    private const double Tiny = 1e-30;

    private readonly FlatLayout _layout;
    private readonly (double One, double Two) _beta;
    private readonly double _epsilon;
    private readonly double _decay;
    private readonly bool _isDecoupled;
    private readonly Tensor _first;
    private readonly Tensor _second;
    private readonly Tensor _step;
    private readonly Tensor _beta1;
    private readonly Tensor _beta2;

    public AdamState(FlatLayout layout, double beta1, double beta2, double epsilon, double decay, bool isDecoupled)
    {
        (_layout, _beta, _epsilon, _decay, _isDecoupled) = (layout, (beta1, beta2), epsilon, decay, isDecoupled);
        (_first, _second, _step) = (layout.NewBuffer(), layout.NewBuffer(), layout.NewNumber(0.0));
        (_beta1, _beta2) = (layout.NewNumber(beta1), layout.NewNumber(beta2));
        Tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal)
        {
            ["exp_avg"] = _first,
            ["exp_avg_sq"] = _second,
            ["step"] = _step,
        };
    }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, Tensor> Tensors { get; }

    /// <inheritdoc/>
    public void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply)
    {
        using var scope = NewDisposeScope();
        if (_decay != 0.0)
        {
            if (_isDecoupled)
                _layout.Decay(weights, apply.Mul(learningRate * _decay));
            else
                _layout.AddDecay(gradients, weights, apply.Mul(_decay));
        }

        _step.Add_(apply);
        _first.mul_(Kept(apply, _beta.One)).Add_(gradients, 1.0 - _beta.One);
        _second.mul_(Kept(apply, _beta.Two)).Addcmul_(gradients, gradients, 1.0 - _beta.Two);

        // m / c1 / (sqrt(v / c2) + e) is m / (sqrt(v) (c1 / sqrt(c2)) + c1 e).
        var correction = Correction(_beta1);
        var scale = Correction(_beta2).rsqrt().mul_(correction);
        var shift = correction.Mul(_epsilon).div_(apply);
        gradients.copy_(_second).sqrt_().mul_(scale).Add_(shift);
        _layout.Move(weights, _first, gradients, -learningRate);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in (Tensor[])[_first, _second, _step, _beta1, _beta2])
            tensor.Dispose();
    }

    private static Tensor Kept(Tensor apply, double beta) => apply.Mul(beta - 1.0).Add_(1.0);

    private Tensor Correction(Tensor beta) => beta.pow(_step).neg().Add_(1.0).ClampMin(Tiny);
}
