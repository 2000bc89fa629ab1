using System.Globalization;
using Diffusion.Core;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using TorchSharp;

namespace VaeDigits;

/// <summary>The autoencoder of binary digits, and how it is trained.</summary>
internal static class DigitVae
{
    private const string HiddenKey = "hidden";
    private const string LatentKey = "latent";
    private const string TwoEncodersKey = "two-encoders";

    public static IReconstructionLoss Likelihood => Reconstruction.Bernoulli;

    /// <summary>784 pixels to a code and back to 784 logits.</summary>
    public static Vae Create(int[] hidden, int latentFeatures, bool twoEncoders = false)
        => new(new VaeOptions
        {
            Body = new MlpBody { SampleShape = [1, 28, 28], Hidden = hidden, LatentFeatures = latentFeatures },
            TwoEncoders = twoEncoders,
        });

    /// <summary>Writes the weights, with the architecture in the header.</summary>
    public static void Save(Vae vae, string path, int[] hidden, int latentFeatures, bool twoEncoders)
        => ModuleWeights.Save(vae, path, new Dictionary<string, string>
        {
            [HiddenKey] = string.Join(',', hidden),
            [LatentKey] = latentFeatures.ToString(CultureInfo.InvariantCulture),
            [TwoEncodersKey] = twoEncoders.ToString(),
        });

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    public static (Vae Vae, int LatentFeatures) Load(string path)
    {
        using var file = SafetensorsFile.Open(path);
        try
        {
            int[] hidden = [.. file.Metadata[HiddenKey].Split(',').Select(width => int.Parse(width, CultureInfo.InvariantCulture))];
            var latentFeatures = int.Parse(file.Metadata[LatentKey], CultureInfo.InvariantCulture);
            var vae = Create(hidden, latentFeatures, bool.Parse(file.Metadata[TwoEncodersKey]));
            ModuleWeights.Load(vae, path);
            return (vae, latentFeatures);
        }
        catch (Exception error) when (error is KeyNotFoundException or FormatException)
        {
            throw new InvalidDataException($"{path} is not a file of vae-digits: {error.Message}", error);
        }
    }

    /// <summary>Pixels are drawn black or white anew at each look, with the grey value as the probability of white.</summary>
    public static AutoencoderTrainer Trainer(Vae vae, long steps, int batchSize, long seed, torch.Device? device, string? checkpoints = null)
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
                    $"step {value.Step,6:N0} of {value.TotalSteps:N0}  epoch {value.Epoch,5:F1}  -ELBO {value.Loss,7:F2} nats  {value.SamplesPerSecond,7:F0} images/s");
        }
    }
}
