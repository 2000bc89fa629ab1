using Diffusion.Core.Losses;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// What trainers share, whatever their batches are: an optimizer along the clipped gradient of a loss, averaged weights, reports, and
/// checkpoints from which a run goes on exactly as if it had not stopped.
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
    private readonly CheckpointStore? _store;
    private long? _datasetCount;
    private long _savedStep = -1;
    private bool _disposed;

    /// <summary>A trainer of a module, at step 0.</summary>
    private protected Trainer(nn.Module module, Func<IDisposable?>? beginInference, TrainerOptions? options, ILogger? logger)
    {
        ArgumentNullException.ThrowIfNull(module);
        Options = options ?? new TrainerOptions();
        Options.Validate();
        _module = module;
        MicroBatchSize = Options.MicroBatchSize;
        Logger = logger ?? NullLogger.Instance;
        if (Options.CheckpointFolder is not null)
            _store = new CheckpointStore(
                Options.CheckpointFolder, Options.EffectiveRetention, operation => LogFile(Logger, operation));
        if (Options.Device is not null)
            module.to(Options.Device);
        var parameters = new FlatParameters(module, Options.ParameterGroups, Options.Precision, Options.ChannelsLast);
        try
        {
            Engine = new OptimizerStep(parameters, Options);
        }
        catch
        {
            parameters.Dispose();
            throw;
        }

        Average = new AveragedWeights(module, Engine, beginInference ?? (() => null));
        if (Options.AllowTf32 is { } allowed)
            (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32) = (allowed, allowed);
    }

    /// <summary>Steps done, skipped ones included.</summary>
    public long Step { get; private protected set; }

    /// <summary>The mean loss of the last batch, NaN before the first. Reading it waits for the device.</summary>
    public double LastLoss => Engine.Loss;

    /// <summary>The norm of all gradients of the last step before clipping; NaN before the first. Reading waits for the device.</summary>
    public double LastGradientNorm => Engine.GradientNorm;

    /// <summary>Steps skipped because their loss or gradient was not finite. Reading it waits for the device.</summary>
    public long SkippedSteps => Engine.Skipped;

    /// <summary>Where the weights are.</summary>
    public Device Device => Engine.Parameters.Device;

    /// <summary>
    /// Samples that pass through the network at once: <see cref="TrainerOptions.MicroBatchSize"/>, or what was found to fit the memory.
    /// Null for whole batches, and until the first step has found it out.
    /// </summary>
    public int? MicroBatchSize { get; private protected set; }

    /// <summary>How to train.</summary>
    protected TrainerOptions Options { get; }

    /// <summary>Told about reports, checkpoints and skipped steps.</summary>
    protected ILogger Logger { get; }

    /// <summary>The weights, gradients, moments and their averages.</summary>
    private protected OptimizerStep Engine { get; }

    /// <summary>The averaged weights, to be swapped in.</summary>
    private protected AveragedWeights Average { get; }

    /// <summary>What a checkpoint holds of a sampler of times that learns; null where there is none.</summary>
    private protected virtual IAdaptiveTimestepSampler? LearnedTimesteps => null;

    private protected nn.Module Network => _module;

    /// <summary>
    /// Puts averaged weights in the module, and the module in evaluation mode, until the result is disposed. The trainer takes no step
    /// meanwhile.
    /// </summary>
    /// <param name="name">Which: <see cref="TrainerOptions.MainEma"/>, or one of <see cref="TrainerOptions.ExtraEmas"/>.</param>
    /// <exception cref="ArgumentException">There is no such average.</exception>
    /// <exception cref="InvalidOperationException">A step is running, or another average is in use.</exception>
    public IDisposable UseEma(string name = TrainerOptions.MainEma) => Average.BeginInference(Average.IndexOf(name));

    /// <summary>Frees the optimizer and the averaged weights. The model keeps the trained weights.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what a trainer holds.</summary>
    /// <param name="disposing">True from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (_disposed || !disposing)
            return;
        _disposed = true;
        Average.Dispose();
        Engine.Dispose();
    }

    /// <summary>The noise schedule, to recognise it in a checkpoint; null for a trainer without one.</summary>
    private protected virtual ScheduleFingerprint? Fingerprint() => null;

    /// <summary>What <c>model.json</c> in a checkpoint contains; <see langword="null"/> for a trainer without a diffusion model.</summary>
    private protected virtual string? Describe() => null;

    private protected void RequireAlive() => ObjectDisposedException.ThrowIf(_disposed, this);
}
