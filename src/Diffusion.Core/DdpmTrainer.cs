using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Trains a denoiser: draws times and noise, steps an AdamW optimizer along the clipped gradient of the loss, averages the weights,
/// reports, and keeps checkpoints from which a run goes on exactly as if it had not stopped.
/// </summary>
/// <remarks>
/// <para>Source: Ho et al. 2020, algorithm 1. Every random draw is a function of (seed, step), so that a run of 2k steps equals one of k
/// steps, saved, resumed in a new process and run for k more, bit for bit on one CPU.</para>
/// <para>A step whose loss or gradient is not finite is skipped: it counts as a step, and changes no weight, moment or average.</para>
/// <para>The parameters become views of one buffer when the trainer is made. So move the module to its device, tie and freeze its
/// parameters and load any weights to start from first. The trainer does not own the model; dispose the trainer before it.</para>
/// <para>Not safe for several threads at once; several trainers are, each with a model of its own.</para>
/// </remarks>
public sealed partial class DdpmTrainer : IDisposable
{
    /// <summary>The place of this process among several; one alone is the first.</summary>
    private const long Rank = 0;

    private readonly ITrainableDenoiser _model;
    private readonly INoiseSchedule _schedule;
    private readonly ForwardProcess _process;
    private readonly IDiffusionLoss _loss;
    private readonly TrainerOptions _options;
    private readonly ILogger _logger;
    private readonly ILearningRateSchedule _learningRate;
    private readonly CheckpointStore? _store;
    private readonly UpdateEngine _engine;
    private readonly AveragedDenoiser _ema;
    private long? _datasetCount;
    private long _savedStep = -1;
    private bool _disposed;

    /// <summary>A trainer of a model, at step 0.</summary>
    /// <param name="model">The network; moved to <see cref="TrainerOptions.Device"/> if that is given.</param>
    /// <param name="schedule">The noise schedule to train on.</param>
    /// <param name="loss">What is minimised; the mean over the batch.</param>
    /// <param name="options">How; the defaults where null.</param>
    /// <param name="logger">Told about reports, checkpoints and skipped steps.</param>
    /// <exception cref="ArgumentException">
    /// An option is out of range, or the module has no trainable parameters, or not of one type on one device.
    /// </exception>
    /// <exception cref="InvalidOperationException">The module already belongs to another trainer.</exception>
    /// <exception cref="CheckpointException"><see cref="TrainerOptions.CheckpointFolder"/> cannot be written to.</exception>
    public DdpmTrainer(
        ITrainableDenoiser model, INoiseSchedule schedule, IDiffusionLoss loss, TrainerOptions? options = null, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(loss);
        _options = options ?? new TrainerOptions();
        _options.Validate();
        (_model, _schedule, _loss) = (model, schedule, loss);
        _process = new ForwardProcess(schedule);
        _logger = logger ?? NullLogger.Instance;
        _learningRate = _options.EffectiveLearningRate;
        if (_options.CheckpointFolder is not null)
            _store = new CheckpointStore(_options.CheckpointFolder, _options.KeepCheckpoints);
        if (_options.Device is not null)
            model.Module.to(_options.Device);
        _engine = new UpdateEngine(new FlatParameters(model.Module), _options);
        _ema = new AveragedDenoiser(model, _engine);
    }

    /// <summary>Steps done, skipped ones included.</summary>
    public long Step { get; private set; }

    /// <summary>
    /// The model with averaged weights, for samplers. Used between steps: while its inference scope is open the model holds the averaged
    /// weights, in evaluation mode, and the trainer takes no step.
    /// </summary>
    public IDenoiser Ema => _ema;

    /// <summary>The mean loss of the last batch, NaN before the first. Reading it waits for the device.</summary>
    public double LastLoss => _engine.Loss;

    /// <summary>The norm of all gradients of the last step before clipping; NaN before the first. Reading waits for the device.</summary>
    public double LastGradientNorm => _engine.GradientNorm;

    /// <summary>Steps skipped because their loss or gradient was not finite. Reading it waits for the device.</summary>
    public long SkippedSteps => _engine.Skipped;

    /// <summary>Takes one step on a batch of the caller's; <see cref="Fit"/> does the same in a loop.</summary>
    /// <param name="batch">On any device; not changed, and still the caller's.</param>
    /// <exception cref="ArgumentException">The batch is empty, or does not fit the model or the loss. Nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">The averaged weights are in use, or the module's parameters were replaced.</exception>
    public void TrainStep(Batch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using var claim = _ema.Claim("take a step");
        if (batch.Samples.dim() < 1 || batch.Samples.shape[0] < 1)
            throw new ArgumentException(
                $"A batch must have shape [B, ...] with B >= 1, got {Guard.Format(batch.Samples.shape)}.", nameof(batch));
        if (!_model.Module.training)
            _model.Module.train();

        var parameters = _engine.Parameters;
        using var scope = NewDisposeScope();
        var x0 = batch.Samples.to(parameters.Dtype, parameters.Device);
        using var condition = batch.Condition?.To(parameters.Device);
        using var timeDraws = SeedSequence.Generator(null, _options.Seed, RandomStream.Timesteps, Step, Rank);
        using var noiseDraws = SeedSequence.Generator(parameters.Device, _options.Seed, RandomStream.Noise, Step, Rank);
        var drawn = _options.Timesteps.Sample(_schedule, x0.shape[0], timeDraws);
        // The levels of a continuous schedule are computed on the CPU: only what the network is told of its times moves.
        var t = _schedule is DiscreteSchedule ? drawn.to(parameters.Device) : drawn;
        var noise = randn(x0.shape, dtype: parameters.Dtype, device: parameters.Device, generator: noiseDraws);

        parameters.ZeroGradients();
        using var networkDraws = SeedSequence.Generator(parameters.Device, _options.Seed, RandomStream.Network, Step, Rank);
        using var dropout = DropoutRandom.Use(networkDraws);
        using var terms = _loss.Evaluate(_model, _process, x0, t, noise, condition);
        var adaptive = _options.Timesteps as IAdaptiveTimestepSampler;
        var loss = (adaptive is null ? terms.Loss : terms.Loss.mul(adaptive.Weights(drawn).to(terms.Loss.dtype, parameters.Device))).mean();
        loss.backward();
        var rate = Guard.InRange(_learningRate.At(Step), 0.0, double.MaxValue);
        var decay = Guard.InRange(_options.Ema.At(Step + 1), 0.0, 1.0);
        _engine.Apply(loss, rate, decay);
        adaptive?.Observe(drawn, terms.Loss.detach().cpu());
        Step++;
    }

    /// <summary>Frees the optimizer and the averaged weights. The model keeps the trained weights.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _ema.Dispose();
        _engine.Dispose();
        _process.Dispose();
    }
}
