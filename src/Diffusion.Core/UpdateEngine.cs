using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// What follows backward: clip, step, average, and keep count, all on the device. Nothing here waits for the device; the numbers do
/// when they are read.
/// </summary>
/// <remarks>
/// A step whose loss or gradient norm is not finite is skipped without a branch: its gradients are replaced by zeros, and the amount by
/// which weights, moments and average move is zero. They stay as they were, bit for bit.
/// </remarks>
internal sealed class UpdateEngine : IDisposable
{
    private readonly double? _clipNorm;
    private readonly Tensor _loss;
    private readonly Tensor _norm;
    private readonly Tensor _lossSum;
    private readonly Tensor _lossCount;
    private readonly Tensor _skipped;
    private readonly Tensor _skippedInARow;

    /// <summary>An engine over a module's parameters, with the average starting at their values.</summary>
    public UpdateEngine(FlatParameters parameters, TrainerOptions options)
    {
        Parameters = parameters;
        Optimizer = new AdamW(parameters, options.Beta1, options.Beta2, options.Epsilon, options.WeightDecay);
        _clipNorm = options.ClipNorm;
        Average = parameters.NewBuffer();
        Average.copy_(parameters.Values);
        _loss = Number(double.NaN);
        _norm = Number(double.NaN);
        _lossSum = Number(0.0);
        _lossCount = Number(0.0);
        _skipped = Number(0.0);
        _skippedInARow = Number(0.0);
    }

    /// <summary>The weights and gradients.</summary>
    public FlatParameters Parameters { get; }

    /// <summary>The optimizer and its moments.</summary>
    public AdamW Optimizer { get; }

    /// <summary>[N] the exponential moving average of the weights.</summary>
    public Tensor Average { get; }

    /// <summary>The loss of the last step. Waits for the device.</summary>
    public double Loss => _loss.item<double>();

    /// <summary>The norm of all gradients of the last step, before clipping. Waits for the device.</summary>
    public double GradientNorm => _norm.item<double>();

    /// <summary>Steps skipped so far. Waits for the device.</summary>
    public long Skipped
    {
        get => (long)_skipped.item<double>();
        set => _skipped.fill_((double)value);
    }

    /// <summary>Steps skipped since the last that was not. Waits for the device.</summary>
    public long SkippedInARow
    {
        get => (long)_skippedInARow.item<double>();
        set => _skippedInARow.fill_((double)value);
    }

    /// <summary>What a checkpoint notes beside the tensors, by name. Waits for the device.</summary>
    public IReadOnlyDictionary<string, double> Counters
    {
        get => new SortedDictionary<string, double>(StringComparer.Ordinal)
        {
            ["loss_sum"] = _lossSum.item<double>(),
            ["loss_count"] = _lossCount.item<double>(),
        };
        set
        {
            _lossSum.fill_(value.GetValueOrDefault("loss_sum"));
            _lossCount.fill_(value.GetValueOrDefault("loss_count"));
        }
    }

    /// <summary>Takes one step with the gradients at hand, or skips it.</summary>
    /// <param name="loss">[] the loss they belong to; not changed.</param>
    /// <param name="learningRate">The rate of this step.</param>
    /// <param name="emaDecay">The decay of the average in this step.</param>
    public void Apply(Tensor loss, double learningRate, double emaDecay)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        var gradients = Parameters.Gradients;
        var norm = Parameters.GradientNorm();
        _loss.copy_(loss);
        _norm.copy_(norm);
        var finite = _loss.isfinite().logical_and(_norm.isfinite());
        var skip = finite.logical_not();
        var apply = finite.to(ScalarType.Float64);
        Count(apply, skip);

        if (_clipNorm is { } maxNorm)
            gradients.mul_(norm.add(1e-6).reciprocal_().mul_(maxNorm).clamp_max_(1.0));
        gradients.masked_fill_(skip, 0.0);
        Optimizer.Step(learningRate, apply);
        Average.lerp_(Parameters.Values, apply.mul(1.0 - emaDecay).to(Parameters.Dtype));
    }

    /// <summary>The mean loss of the steps since the last call that were not skipped; NaN when all were. Waits for the device.</summary>
    public double TakeMeanLoss()
    {
        var mean = _lossSum.item<double>() / _lossCount.item<double>();
        _lossSum.fill_(0.0);
        _lossCount.fill_(0.0);
        return mean;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in (Tensor[])[_loss, _norm, _lossSum, _lossCount, _skipped, _skippedInARow, Average])
            tensor.Dispose();
        Optimizer.Dispose();
        Parameters.Dispose();
    }

    private void Count(Tensor apply, Tensor skip)
    {
        _lossSum.add_(_loss.masked_fill(skip, 0.0));
        _lossCount.add_(apply);
        var skipped = skip.to(ScalarType.Float64);
        _skipped.add_(skipped);
        _skippedInARow.add_(1.0);
        _skippedInARow.mul_(skipped);
    }

    private Tensor Number(double value)
        => full([], value, dtype: ScalarType.Float64, device: Parameters.Device).DetachFromDisposeScope();
}
