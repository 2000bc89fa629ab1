using Diffusion.Core;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using TorchSharp;

namespace VaeDigits;

/// <summary>Creates the autoencoder of binary digits and its trainer.</summary>
internal static class DigitVae
{
    public static Reconstruction Likelihood => Reconstruction.Bernoulli;

    /// <summary>Creates an autoencoder that maps 784 pixels to latents, and latents to 784 logits.</summary>
    public static Vae Create(int[] hidden, int latentFeatures, bool twoEncoders = false)
        => new(new VaeOptions
        {
            Body = new MlpBody { SampleShape = [1, 28, 28], Hidden = hidden, LatentFeatures = latentFeatures },
            TwoEncoders = twoEncoders,
        });

    /// <summary>
    /// Creates the trainer. Each time an image is used, its pixels are drawn as black or white, with the grey value as the probability of
    /// white.
    /// </summary>
    public static AutoencoderTrainer Trainer(
        Vae vae, long steps, int batchSize, long seed, torch.Device? device, string? checkpoints = null, TrainerCallback? callback = null)
        => new(vae, new DynamicBinarization(new AutoencoderLoss(Likelihood)), new TrainerOptions
        {
            Steps = steps,
            BatchSize = batchSize,
            LearningRateSchedule = LearningRateSchedules.Cosine(2e-3, steps, warmupSteps: Math.Min(200, steps / 10)),
            MaxGradNorm = null,
            Ema = EmaDecay.WarmUp(0.999),
            Seed = seed,
            Device = device,
            LogEvery = 100,
            CheckpointEvery = 5_000,
            CheckpointFolder = checkpoints,
            Callbacks = callback is null ? [] : [callback],
        });
}
