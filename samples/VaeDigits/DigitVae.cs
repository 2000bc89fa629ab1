using Diffusion.Core;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using TorchSharp;

namespace VaeDigits;

/// <summary>The autoencoder of binary digits, and how it is trained.</summary>
internal static class DigitVae
{
    public static IReconstructionLoss Likelihood => Reconstruction.Bernoulli;

    /// <summary>784 pixels to a code and back to 784 logits.</summary>
    public static Vae Create(int[] hidden, int latentFeatures, bool twoEncoders = false)
        => new(new VaeOptions
        {
            Body = new MlpBody { SampleShape = [1, 28, 28], Hidden = hidden, LatentFeatures = latentFeatures },
            TwoEncoders = twoEncoders,
        });

    /// <summary>Pixels are drawn black or white anew at each look, with the grey value as the probability of white.</summary>
    public static AutoencoderTrainer Trainer(
        Vae vae, long steps, int batchSize, long seed, torch.Device? device, string? checkpoints = null)
        => new(vae, new DynamicBinarization(new AutoencoderLoss(Likelihood)), new TrainerOptions
        {
            Steps = steps,
            BatchSize = batchSize,
            LearningRateSchedule = LearningRate.Cosine(2e-3, steps, warmupSteps: Math.Min(200, steps / 10)),
            ClipNorm = null,
            Ema = EmaDecay.WarmUp(0.999),
            Seed = seed,
            Device = device,
            LogEvery = 100,
            CheckpointEvery = 5_000,
            CheckpointFolder = checkpoints,
        });

    /// <summary>Trains to the end, or until it is cancelled, and says how it goes.</summary>
    public static void Train(AutoencoderTrainer trainer, IDataset data, CancellationToken cancellationToken)
        => trainer.Fit(data, new Lines(), cancellationToken);

    // Progress<T> would hand reports to the thread pool; the lines want their order.
    private sealed class Lines : IProgress<TrainingProgress>
    {
        private const int Every = 1_000;

        public void Report(TrainingProgress value)
        {
            if (value.Step % Every == 0 || value.Step == value.TotalSteps)
                Console.WriteLine(
                    $"step {value.Step,6:N0} of {value.TotalSteps:N0}  epoch {value.Epoch,5:F1}  "
                    + $"-ELBO {value.Loss,7:F2} nats  {value.SamplesPerSecond,7:F0} images/s");
        }
    }
}
