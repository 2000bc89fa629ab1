using System.Globalization;
using System.Text.Json.Nodes;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Trains a denoiser: draws times and noise, minimises a loss, clips gradients, averages the weights, reports progress, and writes
/// checkpoints from which a run continues exactly as if it had not stopped.
/// </summary>
/// <remarks>Source: Ho et al. 2020, algorithm 1. The remarks of <see cref="Trainer"/> apply.</remarks>
public sealed class DdpmTrainer : Trainer<Batch>
{
    private const int Quarters = 4;

    private static readonly string[] QuarterNames = ["loss_q0", "loss_q1", "loss_q2", "loss_q3"];

    private readonly DiffusionModel _model;
    private readonly bool _ownsModel;
    private readonly IDiffusionLoss _loss;
    private readonly Tensor _quarters;
    private bool _rangeIsChecked;
    private bool _conditionIsChecked;

    /// <summary>Initializes a trainer of a model at step 0.</summary>
    /// <param name="model">
    /// The model, whose network is moved to <see cref="TrainerOptions.Device"/> if that is set. The caller must dispose it after the
    /// trainer.
    /// </param>
    /// <param name="loss">The loss, whose mean over the batch is minimised.</param>
    /// <param name="options">The options. The default is a new <see cref="TrainerOptions"/>.</param>
    /// <param name="logger">The logger that receives reports, checkpoints and skipped steps. The default is none.</param>
    /// <exception cref="ArgumentException">
    /// The network is not an <see cref="ITrainableDenoiser"/>, an option is out of range, the module has no trainable parameters, or
    /// its trainable parameters are not floating point or differ in type or device.
    /// </exception>
    /// <exception cref="InvalidOperationException">The module already belongs to another trainer.</exception>
    public DdpmTrainer(DiffusionModel model, IDiffusionLoss loss, TrainerOptions? options = null, ILogger? logger = null)
        : base(Trainable(model).Module, model.BeginInference, Checked(loss, options), logger)
    {
        (Model, _loss) = (model, loss);
        _model = NetworkInput.Needed(Options) ? model.With(new NetworkInput(Trainable(model), Options)) : model;
        _quarters = QuarterTable().DetachFromDisposeScope();
        Ema = AverageOf(TrainerOptions.MainEma);
    }

    /// <summary>Initializes a trainer of a network that predicts epsilon, at step 0.</summary>
    /// <param name="network">The network. The caller must dispose it after the trainer.</param>
    /// <param name="schedule">The noise schedule to train with.</param>
    /// <param name="loss">The loss, whose mean over the batch is minimised.</param>
    /// <param name="options">The options. The default is a new <see cref="TrainerOptions"/>.</param>
    /// <param name="logger">The logger that receives reports, checkpoints and skipped steps. The default is none.</param>
    /// <inheritdoc cref="DdpmTrainer(DiffusionModel, IDiffusionLoss, TrainerOptions?, ILogger?)" path="/exception"/>
    public DdpmTrainer(
        ITrainableDenoiser network, INoiseSchedule schedule, IDiffusionLoss loss, TrainerOptions? options = null, ILogger? logger = null)
        : this(new DiffusionModel(network, schedule), loss, options, logger)
        => _ownsModel = true;

    /// <summary>The trained model, with the weights of the last step.</summary>
    public DiffusionModel Model { get; }

    /// <summary>
    /// The model with averaged weights, for samplers. Use it between steps: while its inference scope is open, the network has the
    /// averaged weights and is in evaluation mode, and the trainer cannot take a step.
    /// </summary>
    public DiffusionModel Ema { get; }

    private INoiseSchedule Schedule => Model.Schedule;

    /// <summary>Returns the model with the averaged weights of a name. <see cref="Ema"/> is the model of the main average.</summary>
    /// <param name="name"><see cref="TrainerOptions.MainEma"/>, or a key of <see cref="TrainerOptions.ExtraEmas"/>.</param>
    /// <exception cref="ArgumentException">There is no average with this name.</exception>
    public DiffusionModel AverageOf(string name)
        => _model.With(new AveragedDenoiser(_model.Network, State.Averages, State.Averages.IndexOf(name)));

    /// <inheritdoc/>
    protected override StepLoss Evaluate(Batch batch, StepRandom draws)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(draws);
        var x0 = batch.Samples;
        CheckFirst(batch);
        var drawn = draws.Draw(
            RandomStream.Timesteps, null, generator => Options.Timesteps.Sample(Schedule, draws.BatchSize, generator));
        var noise = draws.Normal(RandomStream.Noise, x0.shape, x0.dtype, Device);
        var onDevice = drawn.to(Device, non_blocking: true);
        using var terms = LossAt(batch, drawn, onDevice, noise, draws.Generator);
        if (Options.Timesteps is not IAdaptiveTimestepSampler adaptive)
            return Reported(new StepLoss(terms.Loss.mean()), terms, onDevice);
        var weights = adaptive.Weights(drawn).to(terms.Loss.dtype, Device);
        var result = new StepLoss(terms.Loss.mul(weights).mean());
        var (times, losses) = (result.Keep(drawn), result.Keep(terms.Loss.detach()));
        result.AfterStep = () => adaptive.Observe(times, losses.cpu());
        return Reported(result, terms, onDevice);
    }

    /// <summary>Computes the loss at given times and noise, with the current weights.</summary>
    /// <param name="batch">The batch, on the device of the model.</param>
    /// <param name="t">[B] times of the schedule, on the CPU.</param>
    /// <param name="onDevice">The same times on the device of the model.</param>
    /// <param name="noise">The noise, with the shape, type and device of the samples.</param>
    /// <param name="generator">The generator of the random numbers of the loss; <see langword="null"/> for the default generator.</param>
    /// <returns>The terms of the loss. The caller must dispose them.</returns>
    internal LossTerms LossAt(Batch batch, Tensor t, Tensor onDevice, Tensor noise, Generator? generator = null)
        // The levels of a continuous schedule are computed on the CPU: only the timesteps passed to the network are moved.
        => _loss.Evaluate(new LossContext(_model, batch.Samples, Schedule is DiscreteSchedule ? onDevice : t, noise, batch.Condition)
        {
            Generator = generator,
        });

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _quarters.Dispose();
            if (_ownsModel)
                Model.Dispose();
        }

        base.Dispose(disposing);
    }

    private protected override RunIdentity Identify() => new()
    {
        Schedule = ScheduleFingerprint.Of(Schedule),
        Settings = new JsonObject
        {
            ["timestep_sampler"] = Options.Timesteps.GetType().Name,
            ["prediction"] = Model.Prediction.Name,
            ["learns_variance"] = Model.LearnsVariance,
            ["data_range"] = Model.DataRange?.ToString(),
        },
        Model = () => Model.Describe(Checkpoint.AverageFile, Options.ModelFormat),
        Timesteps = Options.Timesteps as IAdaptiveTimestepSampler,
    };

    internal override void Describe(IDictionary<string, string> texts)
    {
        texts["loss"] = RunDescription.NameOf(_loss);
        var model = JsonNode.Parse(Model.Describe(Checkpoint.AverageFile, Options.ModelFormat))!;
        foreach (var name in (string[])["network", "prediction", "schedule"])
            texts[name] = model[name]!.ToJsonString();
        if (Schedule is DiscreteSchedule discrete)
            texts["schedule"] = string.Create(
                CultureInfo.InvariantCulture,
                $"{nameof(DiscreteSchedule)}, {discrete.Steps} steps, beta {discrete.Betas[0]:G4} to {discrete.Betas[^1]:G4}");
        texts["variance"] = Model.LearnsVariance ? "learned" : "fixed";
        texts["data_range"] = Model.DataRange?.ToString() ?? "of the samples";
    }

    /// <summary>Warns of a data set whose range is not that of the model.</summary>
    private protected override void Check(IDataset<Batch> dataset)
    {
        if (dataset is not IDataset { DataRange: { } range } data)
            return;
        var expected = Model.RangeOf([1, .. data.SampleShape]);
        if (range == expected)
            return;
        TrainerLog.RangeOfDataset(Log, range, expected);
        _rangeIsChecked = true;
    }

    /// <summary>Compares the first batch with the model: what the network ignores, and the range of the data.</summary>
    private void CheckFirst(Batch batch)
    {
        if (!_conditionIsChecked && batch.Condition is { } condition && Model.UnusedPart(condition) is { } unused)
            TrainerLog.ConditionUnused(Log, unused);
        _conditionIsChecked = true;
        CheckRange(batch.Samples);
    }

    /// <summary>Warns once of a first batch outside the range of the model, or of images from 0 to 1 where it expects -1 to 1.</summary>
    private void CheckRange(Tensor x0)
    {
        const double Tolerance = 1e-3;
        if (_rangeIsChecked || x0.device_type == TorchSharp.DeviceType.META)
            return;
        _rangeIsChecked = true;
        var range = Model.RangeOf(x0.shape);
        if (!range.IsBounded)
            return;
        using var gradientsOff = no_grad();
        using var scope = NewDisposeScope();
        var (min, max) = (x0.min().to(ScalarType.Float64).item<double>(), x0.max().to(ScalarType.Float64).item<double>());
        var isHalf = range == DataRange.Images && min >= 0.0 && min < max && max <= 1.0;
        if (min < range.Min - Tolerance || max > range.Max + Tolerance || isHalf)
            TrainerLog.RangeOfBatch(Log, min, max, range);
    }

    /// <summary>Reports the terms of the loss other than the minimised one, and the loss of each quarter of the time range.</summary>
    private StepLoss Reported(StepLoss result, LossTerms terms, Tensor t)
    {
        using var gradientsOff = no_grad();
        using var member = Schedule is DiscreteSchedule ? _quarters.index_select(0, t) : QuartersOf(t);
        result.Report(QuarterNames, terms.Loss.to(ScalarType.Float64).matmul(member), member.sum(0L));
        return result.ReportTerms(terms);
    }

    /// <summary>
    /// Returns [T, 4] float64, the one-hot quarter of each step of a discrete schedule; for other schedules, [4] the numbers of the
    /// quarters.
    /// </summary>
    private Tensor QuarterTable()
    {
        using var scope = NewDisposeScope();
        var numbers = Scalars.Arange(Quarters, ScalarType.Float64, Device);
        if (Schedule is not DiscreteSchedule discrete)
            return numbers.MoveToOuterDisposeScope();
        var quarters = Scalars.Arange(discrete.Steps, ScalarType.Float64, Device).Mul(Quarters).Div(discrete.Steps).floor();
        return quarters.unsqueeze(1).eq(numbers).to(ScalarType.Float64).MoveToOuterDisposeScope();
    }

    /// <summary>Returns [B, 4] float64, the one-hot quarter of each time.</summary>
    private Tensor QuartersOf(Tensor t)
    {
        using var scope = NewDisposeScope();
        var span = Schedule.MaxTime - Schedule.MinTime;
        var quarter = t.to(ScalarType.Float64).Sub_(Schedule.MinTime).Mul_(Quarters / span).floor_().Clamp_(0.0, Quarters - 1.0);
        return quarter.unsqueeze(1).eq(_quarters).to(ScalarType.Float64).MoveToOuterDisposeScope();
    }

    private static ITrainableDenoiser Trainable(DiffusionModel model)
        => Guard.NotNull(model).Network as ITrainableDenoiser ?? throw new ArgumentException(
            $"The network of the model must be an {nameof(ITrainableDenoiser)}, got {model.Network.GetType().Name}.",
            nameof(model));

    private static TrainerOptions? Checked(IDiffusionLoss loss, TrainerOptions? options)
    {
        ArgumentNullException.ThrowIfNull(loss);
        return options;
    }
}
