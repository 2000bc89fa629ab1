using System.Text.Json.Nodes;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Trains a denoiser: draws times and noise, steps an AdamW optimizer along the clipped gradient of the loss, averages the weights,
/// reports, and keeps checkpoints from which a run goes on exactly as if it had not stopped.
/// </summary>
/// <remarks>Source: Ho et al. 2020, algorithm 1. See <see cref="Trainer"/> for what holds of every trainer.</remarks>
public sealed class DdpmTrainer : Trainer
{
    private readonly ITrainableDenoiser _model;
    private readonly INoiseSchedule _schedule;
    private readonly ForwardProcess _process;
    private readonly IDiffusionLoss _loss;

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
        : base(Guard.NotNull(model).Module, model.BeginInference, Checked(schedule, loss, options), logger)
    {
        (_model, _schedule, _loss) = (model, schedule, loss);
        _process = new ForwardProcess(schedule);
        Ema = new AveragedDenoiser(model, Average);
    }

    /// <summary>
    /// The model with averaged weights, for samplers. Used between steps: while its inference scope is open the model holds the averaged
    /// weights, in evaluation mode, and the trainer takes no step.
    /// </summary>
    public IDenoiser Ema { get; }

    private protected override IAdaptiveTimestepSampler? LearnedTimesteps => Options.Timesteps as IAdaptiveTimestepSampler;

    private protected override JsonObject Identity()
    {
        var identity = base.Identity();
        identity["timestep_sampler"] = Options.Timesteps.GetType().Name;
        return identity;
    }

    private protected override ScheduleFingerprint Fingerprint() => ScheduleFingerprint.Of(_schedule);

    private protected override StepLoss Evaluate(Tensor x0, Condition? condition)
    {
        var parameters = Engine.Parameters;
        using var timeDraws = SeedSequence.Generator(null, Options.Seed, RandomStream.Timesteps, Step, Rank);
        using var noiseDraws = SeedSequence.Generator(parameters.Device, Options.Seed, RandomStream.Noise, Step, Rank);
        var drawn = Options.Timesteps.Sample(_schedule, x0.shape[0], timeDraws);
        // The levels of a continuous schedule are computed on the CPU: only what the network is told of its times moves.
        var t = _schedule is DiscreteSchedule ? drawn.to(parameters.Device) : drawn;
        var noise = randn(x0.shape, dtype: parameters.Dtype, device: parameters.Device, generator: noiseDraws);
        var terms = _loss.Evaluate(_model, _process, x0, t, noise, condition);
        if (LearnedTimesteps is not { } adaptive)
            return new StepLoss(terms.Loss.mean(), terms);
        var weights = adaptive.Weights(drawn).to(terms.Loss.dtype, parameters.Device);
        return new StepLoss(terms.Loss.mul(weights).mean(), terms, () => adaptive.Observe(drawn, terms.Loss.detach().cpu()));
    }

    private protected override void DisposeParts() => _process.Dispose();

    private static TrainerOptions? Checked(INoiseSchedule schedule, IDiffusionLoss loss, TrainerOptions? options)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(loss);
        return options;
    }
}
