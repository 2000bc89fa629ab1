using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The part of a training step after the backward pass: clips the gradients, takes the optimizer step, updates the averages and counts
/// skipped steps, all on the device. A step does not wait for the device; reading a result, such as <see cref="Loss"/>, does.
/// </summary>
/// <remarks>
/// A step whose loss or gradient norm is not finite is skipped without a branch: its gradients are replaced by zeros, and weights, moments
/// and averages are updated by zero, so that they are unchanged, bit for bit.
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

    /// <summary>
    /// Initializes a new instance of the <see cref="OptimizerStep"/> class. The averages start with the values of the parameters.
    /// </summary>
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

    /// <summary>The state of the optimizer.</summary>
    public IOptimizerState Optimizer { get; }

    /// <summary>The exponential moving averages of the weights, the main one first.</summary>
    public IReadOnlyList<EmaWeights> Averages { get; }

    /// <summary>The factor by which the loss is multiplied; <see langword="null"/> for none.</summary>
    public GradScale? GradScale { get; }

    /// <summary>The running means of the reported values, including the loss.</summary>
    public RunningMeans Means { get; }

    /// <summary>Whether a step is changing the state. It is set when a step begins to change it, and cleared by the trainer.</summary>
    public bool Updating { get; set; }

    /// <summary>The loss of the last step. Waits for the device.</summary>
    public double Loss => _loss.item<double>();

    /// <summary>The norm of all gradients of the last step, before clipping. Waits for the device.</summary>
    public double GradientNorm => _norm.item<double>();

    /// <summary>The number of steps skipped so far. Waits for the device.</summary>
    public long Skipped
    {
        get => (long)_skipped.item<double>();
        set => _skipped.Fill_((double)value);
    }

    /// <summary>
    /// The number of consecutive steps skipped up to now, except steps with overflows that a smaller gradient scale can prevent. Waits
    /// for the device.
    /// </summary>
    public long SkippedInARow
    {
        get => (long)_skippedInARow.item<double>();
        set => _skippedInARow.Fill_((double)value);
    }

    /// <summary>
    /// The sum and count of each value of the next report so far, by name. The name of the loss is the empty string. Waits for the
    /// device.
    /// </summary>
    public SortedDictionary<string, ReportSum> Sums
    {
        get => new(
            Means.Partial.ToDictionary(entry => entry.Key, entry => new ReportSum(entry.Value.Sum, entry.Value.Count)),
            StringComparer.Ordinal);
        set => Means.Partial = value.ToDictionary(entry => entry.Key, entry => (entry.Value.Sum, entry.Value.Count));
    }

    /// <summary>Takes one step with the current gradients, or skips it.</summary>
    /// <param name="loss">[] the unscaled loss that the gradients belong to. It is not changed.</param>
    /// <param name="learningRate">The learning rate of this step.</param>
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
    /// Returns the means of the loss and of the other values over the steps since the last call that were not skipped; NaN if all were
    /// skipped. Waits for the device.
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

    /// <summary>
    /// Returns whether a number is finite. x - x is 0 for finite numbers and NaN for others; it takes one operator less than
    /// <c>isfinite</c>, and is available on every device.
    /// </summary>
    private static Tensor IsFinite(Tensor number) => number.sub(number).Eq(0.0);

    /// <summary>
    /// Sets the gradients to zero if the step is skipped. Multiplying by zero is not sufficient, because zero times NaN is NaN. A masked
    /// fill takes as long as five arithmetic passes on a CPU, where the mask can be read without waiting for a device.
    /// </summary>
    private static void ZeroWhere(Tensor skip, Tensor gradients)
    {
        if (gradients.device_type != DeviceType.CPU)
            gradients.MaskedFill_(skip, 0.0);
        else if (skip.item<bool>())
            gradients.Fill_(0.0);
    }

    /// <summary>
    /// Multiplies the gradients by a factor. On a CPU the factor can be read without waiting for a device, so no pass is needed for a
    /// factor of 1.
    /// </summary>
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
/// <param name="Step">The number of the step, counted from 1: the value of <see cref="Trainer.Step"/> after it.</param>
/// <param name="Indices">The indices of the samples of its batch in the data set.</param>
public sealed record SkippedStep(long Step, IReadOnlyList<long> Indices);
