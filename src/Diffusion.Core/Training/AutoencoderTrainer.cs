using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core;

/// <summary>
/// Trains an autoencoder, variational or not: steps an optimizer along the clipped gradient of the loss, averages the weights,
/// reports, and keeps checkpoints from which a run goes on exactly as if it had not stopped.
/// </summary>
/// <remarks>
/// Source: Kingma and Welling 2014, algorithm 1. See <see cref="Trainer"/> for what holds of every trainer. Conditions of the data set and
/// <see cref="TrainerOptions.Timesteps"/> are ignored.
/// </remarks>
public sealed class AutoencoderTrainer : Trainer<Batch>
{
    private readonly ITrainableAutoencoder _model;
    private readonly IAutoencoderLoss _loss;

    /// <summary>A trainer of a model, at step 0.</summary>
    /// <param name="model">The network; moved to <see cref="TrainerOptions.Device"/> if that is given.</param>
    /// <param name="loss">What is minimised; the mean over the batch.</param>
    /// <param name="options">How; the defaults where null.</param>
    /// <param name="logger">The logger that receives reports, checkpoints and skipped steps.</param>
    /// <inheritdoc cref="DdpmTrainer(ITrainableDenoiser, Schedules.INoiseSchedule, IDiffusionLoss, TrainerOptions, ILogger)" path="/exception"/>
    public AutoencoderTrainer(
        ITrainableAutoencoder model, IAutoencoderLoss loss, TrainerOptions? options = null, ILogger? logger = null)
        : base(Guard.NotNull(model).Module, model.BeginInference, Checked(loss, options), logger)
    {
        (_model, _loss) = (model, loss);
        Ema = AverageOf(TrainerOptions.MainEma);
    }

    /// <summary>
    /// The model with averaged weights. Used between steps: while its inference scope is open the model holds the averaged weights, in
    /// evaluation mode, and the trainer takes no step.
    /// </summary>
    public IAutoencoder Ema { get; }

    /// <summary>The model with averaged weights of a name, as <see cref="Ema"/> is with the main ones.</summary>
    /// <param name="name"><see cref="TrainerOptions.MainEma"/>, or one of <see cref="TrainerOptions.ExtraEmas"/>.</param>
    /// <exception cref="ArgumentException">There is no such average.</exception>
    public IAutoencoder AverageOf(string name) => new AveragedAutoencoder(_model, State.Averages, State.Averages.IndexOf(name));

    /// <inheritdoc/>
    protected override StepLoss Evaluate(Batch batch, StepRandom draws)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using var terms = _loss.Evaluate(_model, batch.Samples, draws.Generator);
        return new StepLoss(terms.Loss.mean()).ReportTerms(terms);
    }

    internal override void Describe(IDictionary<string, string> texts) => texts["loss"] = RunDescription.NameOf(_loss);

    private static TrainerOptions? Checked(IAutoencoderLoss loss, TrainerOptions? options)
    {
        ArgumentNullException.ThrowIfNull(loss);
        if (options?.Precision is { Narrow: { } narrow })
            throw new ArgumentException(
                Invariant($"An autoencoder is trained in the type of its parameters, got {narrow}."), nameof(options));
        return options;
    }
}
