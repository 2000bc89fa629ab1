using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// What trainers share: AdamW along the clipped gradient of a loss, averaged weights, reports, and checkpoints from which a run goes on
/// exactly as if it had not stopped.
/// </summary>
/// <remarks>
/// <para>Every random draw is a function of (seed, step), so that a run of 2k steps equals one of k steps, saved, resumed in a new process
/// and run for k more, bit for bit on one CPU.</para>
/// <para>A step whose loss or gradient is not finite is skipped: it counts as a step, and changes no weight, moment or average.</para>
/// <para>The parameters become views of one buffer when the trainer is made. So move the module to its device, tie and freeze its
/// parameters and load any weights to start from first. The trainer does not own the model; dispose the trainer before it.</para>
/// <para>Not safe for several threads at once; several trainers are, each with a model of its own.</para>
/// </remarks>
public abstract partial class Trainer : IDisposable
{
    /// <summary>The place of this process among several; one alone is the first.</summary>
    private protected const long Rank = 0;

    private readonly nn.Module _module;
    private readonly ILearningRateSchedule _learningRate;
    private readonly CheckpointStore? _store;
    private long? _datasetCount;
    private long _savedStep = -1;
    private bool _disposed;

    /// <summary>A trainer of a module, at step 0.</summary>
    private protected Trainer(nn.Module module, Func<IDisposable?> beginInference, TrainerOptions? options, ILogger? logger)
    {
        Options = options ?? new TrainerOptions();
        Options.Validate();
        _module = module;
        Logger = logger ?? NullLogger.Instance;
        _learningRate = Options.EffectiveLearningRate;
        if (Options.CheckpointFolder is not null)
            _store = new CheckpointStore(
                Options.CheckpointFolder, Options.EffectiveRetention, operation => LogFile(Logger, operation));
        if (Options.Device is not null)
            module.to(Options.Device);
        Engine = new UpdateEngine(new FlatParameters(module), Options);
        Average = new AveragedWeights(module, Engine, beginInference);
    }

    /// <summary>Steps done, skipped ones included.</summary>
    public long Step { get; private set; }

    /// <summary>The mean loss of the last batch, NaN before the first. Reading it waits for the device.</summary>
    public double LastLoss => Engine.Loss;

    /// <summary>The norm of all gradients of the last step before clipping; NaN before the first. Reading waits for the device.</summary>
    public double LastGradientNorm => Engine.GradientNorm;

    /// <summary>Steps skipped because their loss or gradient was not finite. Reading it waits for the device.</summary>
    public long SkippedSteps => Engine.Skipped;

    /// <summary>How to train.</summary>
    private protected TrainerOptions Options { get; }

    /// <summary>The weights, gradients, moments and their average.</summary>
    private protected UpdateEngine Engine { get; }

    /// <summary>The averaged weights, to be swapped in.</summary>
    private protected AveragedWeights Average { get; }

    /// <summary>What a checkpoint holds of a sampler of times that learns; null where there is none.</summary>
    private protected virtual IAdaptiveTimestepSampler? LearnedTimesteps => null;

    private ILogger Logger { get; }

    /// <summary>Takes one step on a batch of the caller's; <see cref="Fit"/> does the same in a loop.</summary>
    /// <param name="batch">On any device; not changed, and still the caller's.</param>
    /// <exception cref="ArgumentException">The batch is empty, or does not fit the model or the loss. Nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">The averaged weights are in use, or the module's parameters were replaced.</exception>
    /// <exception cref="TrainingOutOfMemoryException">There is not enough memory for the step.</exception>
    public void TrainStep(Batch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        RequireWholeState("take a step");
        _updating = false;
        try
        {
            TakeStep(batch);
        }
        catch (Exception e) when (TrainingOutOfMemoryException.IsCauseOf(e))
        {
            throw OutOfMemory(e);
        }
    }

    private void TakeStep(Batch batch)
    {
        using var claim = Average.Claim("take a step");
        if (batch.Samples.dim() < 1 || batch.Samples.shape[0] < 1)
            throw new ArgumentException(
                $"A batch must have shape [B, ...] with B >= 1, got {Guard.Format(batch.Samples.shape)}.", nameof(batch));
        var rate = Guard.InRange(_learningRate.At(Step), 0.0, double.MaxValue);
        var decay = Guard.InRange(Options.Ema.At(Step + 1), 0.0, 1.0);
        if (!_module.training)
            _module.train();

        var parameters = Engine.Parameters;
        using var scope = NewDisposeScope();
        var x0 = batch.Samples.to(parameters.Dtype, parameters.Device);
        using var condition = batch.Condition?.To(parameters.Device);
        parameters.ZeroGradients();
        using var networkDraws = SeedSequence.Generator(parameters.Device, Options.Seed, RandomStream.Network, Step, Rank);
        using var draws = DropoutRandom.Use(networkDraws);
        using var evaluated = Evaluate(x0, condition);
        evaluated.Loss.backward();
        _updating = true;
        Engine.Apply(evaluated.Loss, rate, decay);
        evaluated.AfterStep?.Invoke();
        Step++;
    }

    /// <summary>Frees the optimizer and the averaged weights. The model keeps the trained weights.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Average.Dispose();
        Engine.Dispose();
        DisposeParts();
        GC.SuppressFinalize(this);
    }

    /// <summary>The loss of one batch, by which the weights move. The draws of the network come from the generator of the step.</summary>
    /// <param name="x0">[B, ...] data, in the type and on the device of the parameters.</param>
    /// <param name="condition">On that device, or null.</param>
    private protected abstract StepLoss Evaluate(Tensor x0, Condition? condition);

    /// <summary>The noise schedule, to recognise it in a checkpoint; null for a trainer without one.</summary>
    private protected virtual ScheduleFingerprint? Fingerprint() => null;

    /// <summary>Frees what a trainer holds besides.</summary>
    private protected virtual void DisposeParts()
    {
    }

    /// <summary>The value to minimise, what it was made of, and what follows the step.</summary>
    private protected sealed record StepLoss(Tensor Loss, LossTerms Terms, Action? AfterStep = null) : IDisposable
    {
        public void Dispose() => Terms.Dispose();
    }
}
