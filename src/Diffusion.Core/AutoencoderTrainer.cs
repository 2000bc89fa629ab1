using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Trains an autoencoder, variational or not: steps an AdamW optimizer along the clipped gradient of the loss, averages the weights,
/// reports, and keeps checkpoints from which a run goes on exactly as if it had not stopped.
/// </summary>
/// <remarks>
/// Source: Kingma and Welling 2014, algorithm 1. See <see cref="Trainer"/> for what holds of every trainer. Conditions of the data set and
/// <see cref="TrainerOptions.Timesteps"/> are not looked at.
/// </remarks>
public sealed class AutoencoderTrainer : Trainer
{
    private readonly ITrainableAutoencoder _model;
    private readonly IAutoencoderLoss _loss;

    /// <summary>A trainer of a model, at step 0.</summary>
    /// <param name="model">The network; moved to <see cref="TrainerOptions.Device"/> if that is given.</param>
    /// <param name="loss">What is minimised; the mean over the batch.</param>
    /// <param name="options">How; the defaults where null.</param>
    /// <param name="logger">Told about reports, checkpoints and skipped steps.</param>
    /// <inheritdoc cref="DdpmTrainer(ITrainableDenoiser, Schedules.INoiseSchedule, IDiffusionLoss, TrainerOptions, ILogger)" path="/exception"/>
    public AutoencoderTrainer(
        ITrainableAutoencoder model, IAutoencoderLoss loss, TrainerOptions? options = null, ILogger? logger = null)
        : base(Guard.NotNull(model).Module, model.BeginInference, Checked(loss, options), logger)
    {
        (_model, _loss) = (model, loss);
        Ema = new AveragedAutoencoder(model, Average);
    }

    /// <summary>
    /// The model with averaged weights. Used between steps: while its inference scope is open the model holds the averaged weights, in
    /// evaluation mode, and the trainer takes no step.
    /// </summary>
    public IAutoencoder Ema { get; }

    private protected override StepLoss Evaluate(Tensor x0, Condition? condition)
    {
        var terms = _loss.Evaluate(_model, x0);
        return new StepLoss(terms.Loss.mean(), terms);
    }

    private static TrainerOptions? Checked(IAutoencoderLoss loss, TrainerOptions? options)
    {
        ArgumentNullException.ThrowIfNull(loss);
        return options;
    }
}
