using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core;

/// <summary>
/// Trains an autoencoder, with or without a variational latent distribution: minimises a loss, clips gradients, averages the weights,
/// reports progress, and writes checkpoints from which a run continues exactly as if it had not stopped.
/// </summary>
/// <remarks>
/// Source: Kingma and Welling 2014, algorithm 1. The remarks of <see cref="Trainer"/> apply. Conditions of the data set
/// and <see cref="TrainerOptions.Timesteps"/> are ignored.
/// </remarks>
public sealed class AutoencoderTrainer : Trainer<Batch>
{
    private readonly ITrainableAutoencoder _model;
    private readonly IAutoencoderLoss _loss;

    /// <summary>Initializes a trainer at step 0.</summary>
    /// <param name="model">
    /// The model, which is moved to <see cref="TrainerOptions.Device"/> if that is set. The caller must dispose it after the trainer.
    /// </param>
    /// <param name="loss">The loss, whose mean over the batch is minimised.</param>
    /// <param name="options">The options. The default is a new <see cref="TrainerOptions"/>.</param>
    /// <param name="logger">The logger that receives reports, checkpoints and skipped steps. The default is none.</param>
    /// <inheritdoc cref="DdpmTrainer(ITrainableDenoiser, Schedules.INoiseSchedule, IDiffusionLoss, TrainerOptions, ILogger)"
    /// path="/exception"/>
    public AutoencoderTrainer(
        ITrainableAutoencoder model, IAutoencoderLoss loss, TrainerOptions? options = null, ILogger? logger = null)
        : base(Guard.NotNull(model).Module, model.BeginInference, Checked(loss, options), logger)
    {
        (_model, _loss) = (model, loss);
        Ema = AverageOf(TrainerOptions.MainEma);
    }

    /// <summary>
    /// The model with averaged weights. Use it between steps: while its inference scope is open, the model has the averaged weights
    /// and is in evaluation mode, and the trainer cannot take a step.
    /// </summary>
    public IAutoencoder Ema { get; }

    /// <summary>Returns the model with the averaged weights of a name. <see cref="Ema"/> is the model of the main average.</summary>
    /// <param name="name"><see cref="TrainerOptions.MainEma"/>, or a key of <see cref="TrainerOptions.ExtraEmas"/>.</param>
    /// <exception cref="ArgumentException">There is no average with this name.</exception>
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
