using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// What follows backward: clip, step, average, and keep count, all on the device. Nothing here waits for the device; the numbers do
/// when they are read.
/// </summary>
/// <remarks>
/// A step whose loss or gradient norm is not finite is skipped without a branch: its gradients are replaced by zeros, and the amount by
/// which weights, moments and averages move is zero. They stay as they were, bit for bit.
/// </remarks>
internal sealed class OptimizerStep : IDisposable
{
    /// <summary>The name of the loss among <see cref="Sums"/>.</summary>
    private const string LossName = "";

    private readonly double? _clipNorm;
    private readonly Tensor _loss;
    private readonly Tensor _norm;
    private readonly NamedSums _lossSums;
    private readonly Tensor _skipped;
    private readonly Tensor _skippedInARow;

    /// <summary>An engine over a module's parameters, with the averages starting at their values.</summary>
    public OptimizerStep(FlatParameters parameters, TrainerOptions options)
    {
        Parameters = parameters;
        Optimizer = options.Optimizer.Start(parameters.Layout);
        _clipNorm = options.MaxGradNorm;
        Averages = [.. options.AllAverages.Select(average => new EmaWeights(average.Key, Copy(parameters.Values), average.Value))];
        if (options.Precision.GradScaler is { } scaling)
            GradScale = new GradScale(scaling, parameters.Layout);
        Means = new RunningMeans(parameters.Device);
        _loss = parameters.Layout.NewNumber(double.NaN);
        _norm = parameters.Layout.NewNumber(double.NaN);
        _lossSums = new NamedSums([LossName], _loss.view(1).DetachFromDisposeScope(), _loss.new_ones(1).DetachFromDisposeScope());
        _skipped = parameters.Layout.NewNumber(0.0);
        _skippedInARow = parameters.Layout.NewNumber(0.0);
    }

    /// <summary>The weights and gradients.</summary>
    public FlatParameters Parameters { get; }

    /// <summary>What the optimizer remembers.</summary>
    public IOptimizerState Optimizer { get; }

    /// <summary>The exponential moving averages of the weights, the main one first.</summary>
    public IReadOnlyList<EmaWeights> Averages { get; }

    /// <summary>The factor on the loss; null where there is none.</summary>
    public GradScale? GradScale { get; }

    /// <summary>Means of what is reported beside the loss.</summary>
    public RunningMeans Means { get; }

    /// <summary>True from where a step begins to change the state, until whoever takes steps says that none does.</summary>
    public bool Updating { get; set; }

    /// <summary>The loss of the last step. Waits for the device.</summary>
    public double Loss => _loss.item<double>();

    /// <summary>The norm of all gradients of the last step, before clipping. Waits for the device.</summary>
    public double GradientNorm => _norm.item<double>();

    /// <summary>Steps skipped so far. Waits for the device.</summary>
    public long Skipped
    {
        get => (long)_skipped.item<double>();
        set => _skipped.Fill_((double)value);
    }

    /// <summary>
    /// Steps skipped since the last that was not; those that a smaller factor on the loss may mend do not count. Waits for the device.
    /// </summary>
    public long SkippedInARow
    {
        get => (long)_skippedInARow.item<double>();
        set => _skippedInARow.Fill_((double)value);
    }

    /// <summary>
    /// The values of the next report so far: sum and count by name, where the name of the loss is empty. Waits for the device.
    /// </summary>
    public SortedDictionary<string, ReportSum> Sums
    {
        get => new(
            Means.Partial.ToDictionary(entry => entry.Key, entry => new ReportSum(entry.Value.Sum, entry.Value.Count)),
            StringComparer.Ordinal);
        set => Means.Partial = value.ToDictionary(entry => entry.Key, entry => (entry.Value.Sum, entry.Value.Count));
    }

    /// <summary>Takes one step with the gradients at hand, or skips it.</summary>
    /// <param name="loss">[] the loss they belong to, unscaled; not changed.</param>
    /// <param name="learningRate">The rate of this step.</param>
    /// <param name="step">The number of this step: 1 for the first.</param>
    public void Apply(Tensor loss, double learningRate, long step)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        double[] decays = [.. Averages.Select(average => Guard.InRange(average.Decay.At(step), 0.0, 1.0))];
        Updating = true;
        var gradients = Parameters.Gradients;
        if (GradScale is not null)
            gradients.mul_(GradScale.Inverse());
        var norm = Parameters.GradientNorm();
        _loss.copy_(loss);
        _norm.copy_(norm);
        var finite = IsFinite(_loss.Add(_norm));
        var apply = finite.to(ScalarType.Float64);
        var skip = apply.Eq(0.0);
        Count(apply, skip);
        Means.Stage(_lossSums);
        Means.Commit(apply, skip);

        if (_clipNorm is { } maxNorm)
            Clip(gradients, norm.Add_(1e-6).reciprocal_().Mul_(maxNorm).ClampMax_(1.0));
        ZeroWhere(skip, gradients);
        Optimizer.Step(Parameters.Values, gradients, learningRate, apply);
        Parameters.Publish();
        for (var i = 0; i < decays.Length; i++)
            FlatLayout.Blend(Averages[i].Values, Parameters.Values, apply.Mul(1.0 - decays[i]));
    }

    /// <summary>
    /// Returns the mean loss and the other means over the steps since the last call that were not skipped; NaN when all were. Waits for the
    /// device.
    /// </summary>
    public (double Loss, SortedDictionary<string, double> Others) TakeMeans()
    {
        var means = Means.Take();
        return means.Remove(LossName, out var loss) ? (loss, means) : (double.NaN, means);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in (Tensor[])[_lossSums.Sums, _lossSums.Counts, _loss, _norm, _skipped, _skippedInARow])
            tensor.Dispose();
        foreach (var average in Averages)
            average.Values.Dispose();
        GradScale?.Dispose();
        Means.Dispose();
        Optimizer.Dispose();
        Parameters.Dispose();
    }

    private static Tensor Copy(Tensor values)
    {
        using var gradientsOff = no_grad();
        return values.clone().DetachFromDisposeScope();
    }

    /// <summary>x - x is 0 for finite numbers and NaN for others: one operator less than <c>isfinite</c>, and on every device.</summary>
    private static Tensor IsFinite(Tensor number) => number.sub(number).Eq(0.0);

    /// <summary>
    /// Zero times NaN is NaN, so a factor will not do. Filling by a mask takes as long as five passes of arithmetic on a CPU; but a CPU can
    /// look at the mask without waiting for anyone.
    /// </summary>
    private static void ZeroWhere(Tensor skip, Tensor gradients)
    {
        if (gradients.device_type != DeviceType.CPU)
            gradients.MaskedFill_(skip, 0.0);
        else if (skip.item<bool>())
            gradients.Fill_(0.0);
    }

    /// <summary>A CPU can look at the factor without waiting, and save the pass that would multiply by one.</summary>
    private static void Clip(Tensor gradients, Tensor factor)
    {
        if (gradients.device_type != DeviceType.CPU || factor.to(ScalarType.Float64).item<double>() != 1.0)
            gradients.mul_(factor);
    }

    private void Count(Tensor apply, Tensor skip)
    {
        var skipped = skip.to(ScalarType.Float64);
        _skipped.Add_(skipped);
        _skippedInARow.Add_(GradScale is null ? skipped : GradScale.Update(apply, IsFinite(_loss)));
        _skippedInARow.mul_(skipped);
    }
}

/// <summary>A step that was skipped because its loss or gradient was not finite.</summary>
/// <param name="Step">Its number, counted from 1: what <see cref="Trainer.Step"/> was after it.</param>
/// <param name="Indices">The samples of its batch, by their indices in the data set.</param>
public sealed record SkippedStep(long Step, IReadOnlyList<long> Indices);
