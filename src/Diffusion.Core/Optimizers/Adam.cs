using System.Numerics;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>The base class of <see cref="Adam"/> and <see cref="AdamW"/>, which differ only in their weight decay.</summary>
/// <remarks>Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1.</remarks>
public abstract record AdamOptimizer : IOptimizer
{
    private protected AdamOptimizer()
    {
    }

    /// <inheritdoc/>
    public string Name => GetType().Name;

    /// <summary>The decay of the average of the gradients. The default is 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>The decay of the average of the squared gradients. The default is 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>The number added to the square root of the second moment. The default is 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>
    /// The weight decay. The default is 0, as in the papers on diffusion models, where averaging and dropout regularise. Use
    /// <see cref="TrainerOptions.ParameterGroups"/> to exclude parameters.
    /// </summary>
    public double WeightDecay { get; init; }

    /// <summary>Whether the weight decay is applied to the weights directly, and not added to the gradients.</summary>
    private protected abstract bool IsDecoupled { get; }

    /// <inheritdoc/>
    public IOptimizerState Start(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Guard.InRange(Beta1, 0.0, Math.BitDecrement(1.0));
        Guard.InRange(Beta2, 0.0, Math.BitDecrement(1.0));
        Guard.PositiveFactor(Epsilon);
        Guard.Factor(WeightDecay);
        return new AdamState(layout, Beta1, Beta2, Epsilon, WeightDecay, IsDecoupled);
    }
}

/// <summary>
/// The Adam optimizer: each step is the running average of the gradients divided by the square root of the running average of their
/// squares.
/// </summary>
/// <remarks>
/// Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1. The weight decay is L2 regularization, as in
/// PyTorch's <c>Adam</c>: the coefficient of half the squared norm of the weights in the loss. Use <see cref="AdamW"/> for decoupled
/// weight decay.
/// </remarks>
public sealed record Adam : AdamOptimizer
{
    private protected override bool IsDecoupled => false;
}

/// <summary>The AdamW optimizer: Adam with decoupled weight decay.</summary>
/// <remarks>
/// Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2. As in PyTorch, both terms are multiplied by
/// the learning rate.
/// </remarks>
public sealed record AdamW : AdamOptimizer
{
    private protected override bool IsDecoupled => true;
}

/// <summary>The state of Adam, with either kind of weight decay. The names of its tensors are PyTorch's.</summary>
/// <remarks>
/// A step is nine passes over the buffers, all in place and vectorized; on a CPU with float32 weights it is a single pass. The bias
/// corrections and epsilon are combined into a scale and a shift of the square root of the second moment. If a step is skipped, the
/// shift is infinite, so that zero is added to the weights.
/// </remarks>
internal sealed class AdamState : IOptimizerState
{
    /// <summary>
    /// The lower bound of the bias corrections, which prevents division by zero. It is smaller than the correction of any step.
    /// </summary>
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
        if (HostSweep.Takes(weights))
        {
            if (apply.item<double>() != 0.0)
                StepOnHost(weights, gradients, learningRate);
            return;
        }

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

    /// <summary>Takes the same step in one pass over the buffers on the CPU.</summary>
    private void StepOnHost(Tensor weights, Tensor gradients, double learningRate)
    {
        _step.Add_(1.0);
        var step = _step.item<double>();
        var correction = Math.Max(1.0 - Math.Pow(_beta.One, step), Tiny);
        var scale = correction / Math.Sqrt(Math.Max(1.0 - Math.Pow(_beta.Two, step), Tiny));
        foreach (var range in _layout.Ranges)
        {
            var size = learningRate * range.LearningRateScale;
            var decay = _decay * range.WeightDecayScale;
            var pass = new Pass
            {
                Beta1 = new((float)_beta.One),
                Rest1 = new((float)(1.0 - _beta.One)),
                Beta2 = new((float)_beta.Two),
                Rest2 = new((float)(1.0 - _beta.Two)),
                Kept = new((float)(_isDecoupled ? 1.0 - (size * decay) : 1.0)),
                Decay = new((float)(_isDecoupled ? 0.0 : decay)),
                Size = new((float)size),
                Scale = new((float)scale),
                Shift = new((float)(correction * _epsilon)),
            };
            HostSweep.Run(range.Offset, range.Count, pass.Run, weights, gradients, _first, _second);
        }
    }

    private static Tensor Kept(Tensor apply, double beta) => apply.Mul(beta - 1.0).Add_(1.0);

    private Tensor Correction(Tensor beta) => beta.pow(_step).neg().Add_(1.0).ClampMin(Tiny);

    private sealed class Pass
    {
        public Vector<float> Beta1 { get; init; }

        public Vector<float> Rest1 { get; init; }

        public Vector<float> Beta2 { get; init; }

        public Vector<float> Rest2 { get; init; }

        public Vector<float> Kept { get; init; }

        public Vector<float> Decay { get; init; }

        public Vector<float> Size { get; init; }

        public Vector<float> Scale { get; init; }

        public Vector<float> Shift { get; init; }

        // Compiled with full optimization at the first call: vector code is not compiled ahead of time, and its first calls would be
        // slow.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(
            Span<Vector<float>> weights, Span<Vector<float>> gradients, Span<Vector<float>> first, Span<Vector<float>> second)
        {
            var (beta1, rest1, beta2, rest2) = (Beta1, Rest1, Beta2, Rest2);
            var (kept, decay, size, scale, shift) = (Kept, Decay, Size, Scale, Shift);
            gradients = gradients[..weights.Length];
            first = first[..weights.Length];
            second = second[..weights.Length];
            for (var i = 0; i < weights.Length; i++)
            {
                var weight = weights[i];
                var gradient = gradients[i] + (decay * weight);
                var mean = (first[i] * beta1) + (gradient * rest1);
                var square = (second[i] * beta2) + (gradient * gradient * rest2);
                first[i] = mean;
                second[i] = square;
                weights[i] = (weight * kept) - (size * mean / ((Vector.SquareRoot(square) * scale) + shift));
            }
        }
    }
}
