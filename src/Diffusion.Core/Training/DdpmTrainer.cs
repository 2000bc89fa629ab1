using System.Text.Json.Nodes;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Trains a denoiser: draws times and noise, steps an optimizer along the clipped gradient of the loss, averages the weights,
/// reports, and keeps checkpoints from which a run goes on exactly as if it had not stopped.
/// </summary>
/// <remarks>Source: Ho et al. 2020, algorithm 1. See <see cref="Trainer"/> for what holds of every trainer.</remarks>
public sealed class DdpmTrainer : Trainer<Batch>
{
    private const int Quarters = 4;

    private static readonly string[] QuarterNames = ["loss_q0", "loss_q1", "loss_q2", "loss_q3"];

    private readonly IDenoiser _model;
    private readonly INoiseSchedule _schedule;
    private readonly ForwardProcess _process;
    private readonly IDiffusionLoss _loss;
    private readonly Tensor _quarters;

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
        (_schedule, _loss) = (schedule, loss);
        _model = NetworkInput.Needed(Options) ? new NetworkInput(model, Options) : model;
        _process = new ForwardProcess(schedule);
        _quarters = QuarterTable().DetachFromDisposeScope();
        Ema = AverageOf(TrainerOptions.MainAverage);
    }

    /// <summary>
    /// The model with averaged weights, for samplers. Used between steps: while its inference scope is open the model holds the averaged
    /// weights, in evaluation mode, and the trainer takes no step.
    /// </summary>
    public IDenoiser Ema { get; }

    private protected override IAdaptiveTimestepSampler? LearnedTimesteps => Options.Timesteps as IAdaptiveTimestepSampler;

    /// <summary>The model with averaged weights of a name, as <see cref="Ema"/> is with the main ones.</summary>
    /// <param name="name"><see cref="TrainerOptions.MainAverage"/>, or one of <see cref="TrainerOptions.MoreAverages"/>.</param>
    /// <exception cref="ArgumentException">There is no such average.</exception>
    public IDenoiser AverageOf(string name) => new AveragedDenoiser(_model, Average, Average.IndexOf(name));

    /// <inheritdoc/>
    protected override StepLoss Evaluate(Batch batch, StepDraws draws)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(draws);
        var x0 = batch.Samples;
        var drawn = draws.Draw(
            RandomStream.Timesteps, null, generator => Options.Timesteps.Sample(_schedule, draws.BatchSize, generator));
        var noise = draws.Normal(RandomStream.Noise, x0.shape, x0.dtype, Device);
        var onDevice = drawn.to(Device, non_blocking: true);
        using var terms = LossAt(batch, drawn, onDevice, noise);
        if (LearnedTimesteps is not { } adaptive)
            return Reported(new StepLoss(terms.Loss.mean()), terms, onDevice);
        var weights = adaptive.Weights(drawn).to(terms.Loss.dtype, Device);
        var result = new StepLoss(terms.Loss.mul(weights).mean());
        var (times, losses) = (result.Keep(drawn), result.Keep(terms.Loss.detach()));
        result.AfterStep = () => adaptive.Observe(times, losses.cpu());
        return Reported(result, terms, onDevice);
    }

    /// <summary>The noise schedule.</summary>
    internal INoiseSchedule Schedule => _schedule;

    /// <summary>The loss at given times and noise, with the weights at hand.</summary>
    /// <param name="batch">On the device of the model.</param>
    /// <param name="t">[B] times of the schedule, on the CPU.</param>
    /// <param name="onDevice">The same on the device.</param>
    /// <param name="noise">As the samples.</param>
    internal LossTerms LossAt(Batch batch, Tensor t, Tensor onDevice, Tensor noise)
        // The levels of a continuous schedule are computed on the CPU: only what the network is told of its times moves.
        => _loss.Evaluate(_model, _process, batch.Samples, _schedule is DiscreteSchedule ? onDevice : t, noise, batch.Condition);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _process.Dispose();
            _quarters.Dispose();
        }

        base.Dispose(disposing);
    }

    private protected override JsonObject Identity()
    {
        var identity = base.Identity();
        identity["timestep_sampler"] = Options.Timesteps.GetType().Name;
        return identity;
    }

    private protected override ScheduleFingerprint Fingerprint() => ScheduleFingerprint.Of(_schedule);

    /// <summary>Adds the terms beside the loss, and the loss by quarters of time.</summary>
    private StepLoss Reported(StepLoss result, LossTerms terms, Tensor t)
    {
        using var gradientsOff = no_grad();
        using var member = _schedule is DiscreteSchedule ? _quarters.index_select(0, t) : QuartersOf(t);
        result.Report(QuarterNames, terms.Loss.to(ScalarType.Float64).matmul(member), member.sum(0L));
        return result.ReportTerms(terms);
    }

    /// <summary>[T, 4] which quarter each step of a discrete schedule is in; [4] their numbers for any other.</summary>
    private Tensor QuarterTable()
    {
        using var scope = NewDisposeScope();
        var numbers = Scalars.Arange(Quarters, ScalarType.Float64, Device);
        if (_schedule is not DiscreteSchedule discrete)
            return numbers.MoveToOuterDisposeScope();
        var quarters = Scalars.Arange(discrete.Steps, ScalarType.Float64, Device).Mul(Quarters).Div(discrete.Steps).floor();
        return quarters.unsqueeze(1).eq(numbers).to(ScalarType.Float64).MoveToOuterDisposeScope();
    }

    /// <summary>[B, 4] which quarter each time is in.</summary>
    private Tensor QuartersOf(Tensor t)
    {
        using var scope = NewDisposeScope();
        var span = _schedule.MaxTime - _schedule.MinTime;
        var quarter = t.to(ScalarType.Float64).Sub_(_schedule.MinTime).Mul_(Quarters / span).floor_().Clamp_(0.0, Quarters - 1.0);
        return quarter.unsqueeze(1).eq(_quarters).to(ScalarType.Float64).MoveToOuterDisposeScope();
    }

    private static TrainerOptions? Checked(INoiseSchedule schedule, IDiffusionLoss loss, TrainerOptions? options)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(loss);
        return options;
    }
}
