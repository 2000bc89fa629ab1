using Diffusion.Core;
using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Samples;
using TorchSharp;
using VaeDigits;

namespace LatentDigits;

/// <summary>Runs latent diffusion: trains an autoencoder and a denoiser of its latents, and decodes samples to images.</summary>
internal static class LatentDigitsRun
{
    // With fewer steps, most samples are not legible.
    private const long FewSteps = 2_000;
    private static readonly int[] Hidden = [400, 200];

    public static int Execute(LatentDigitsOptions options, CancellationToken cancellationToken)
    {
        try
        {
            Run(options, cancellationToken);
            return 0;
        }
        catch (OperationCanceledException)
        {
            Console.WriteLine("Stopped.");
            return 130;
        }
        catch (Exception error) when (
            error is ArgumentException or IOException or InvalidDataException or UnauthorizedAccessException or DivergedException
                or NotSupportedException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }

    private static void Run(LatentDigitsOptions options, CancellationToken cancellationToken)
    {
        Threads.Choose();
        var device = DeviceName.Parse(options.Device);
        var digits = new BinaryDigits(Mnist.OpenOrDownload(options.DataFolder, cancellationToken: cancellationToken));
        if (!File.Exists(options.Vae))
            TrainVae(options, device, cancellationToken);
        using var vae = LoadScaled(options, digits, device);
        var latents = new LatentDataset(digits, vae);
        latents.EncodeAll(cancellationToken: cancellationToken);
        var latentFeatures = (int)latents.SampleShape[0];

        torch.manual_seed(options.Seed);
        using var denoiser = new MlpDenoiser(new MlpDenoiserOptions
        {
            Features = latentFeatures,
            Width = 256,
            Layers = 4,
            FourierFeatures = 0,
            Classes = Mnist.Classes,
        });
        var schedule = DiscreteSchedule.Linear(steps: 1000);
        Console.WriteLine(
            $"The scaling factor of the latents is {latents.Scaling.Factors[0]:F3}. "
            + $"The denoiser has {ModuleWeights.Count(denoiser):N0} parameters and is trained for {options.Steps:N0} steps.");
        var training = new TrainingClock(options.Minutes);
        using var trainer = new DdpmTrainer(denoiser, schedule, new SimpleLoss(), new TrainerOptions
        {
            Steps = options.Steps,
            BatchSize = 256,
            LearningRateSchedule = LearningRateSchedules.Cosine(1e-3, options.Steps, warmupSteps: Math.Min(200, options.Steps / 10)),
            Ema = EmaDecay.WarmUp(0.999),
            Seed = options.Seed,
            Device = device,
            LogEvery = 100,
            Callbacks = [training],
        });
        trainer.Fit(latents, new ProgressLines(training), cancellationToken);

        // One call samples in the latent space and decodes the samples.
        var latentDiffusion = new LatentDiffusion(vae, trainer.Ema);
        var sampler = new DdimSampler(options.SamplingSteps, eta: 1.0);
        var labels = new long[Mnist.Classes * options.Columns];
        for (var i = 0; i < labels.Length; i++)
            labels[i] = i / options.Columns;
        using var condition = Condition.OfLabels(labels, device);
        using var logits = latentDiffusion.Sample(
            sampler, [labels.Length, latentFeatures], options.Seed, condition, cancellationToken: cancellationToken);
        using Scalar two = 2, one = 1;
        using var images = logits.sigmoid().mul_(two).sub_(one);
        var path = Path.Combine(options.Output, "samples.png");
        ImageGrid.SavePng(images, path, columns: options.Columns, scale: 2);
        ModelFile.Save(Path.Combine(options.Output, "autoencoder.safetensors"), vae);
        using var averaged = trainer.Ema.BeginInference();
        ModelFile.Save(Path.Combine(options.Output, "denoiser.safetensors"), denoiser);
        Console.WriteLine($"Samples, one row for each digit: {path}");
        if (trainer.Step < FewSteps)
            Console.WriteLine($"{trainer.Step:N0} steps are too few for legible digits. Run the command again with a larger --steps.");
    }

    /// <summary>
    /// Loads the autoencoder and sets the scaling that gives its latents unit variance. The scaling is part of its options, and is saved
    /// with it.
    /// </summary>
    /// <returns>The autoencoder. The caller must dispose it.</returns>
    private static Vae LoadScaled(LatentDigitsOptions options, IDataset digits, torch.Device device)
    {
        using var loaded = ModelFile.Load<Vae>(options.Vae, device: device);
        var scaling = LatentDiffusion.MeasureScaling(loaded, digits, samples: 1_000, options.Seed);
        var vae = new Vae(loaded.Options! with { Scaling = scaling });
        vae.to(device);
        vae.load_state_dict(loaded.state_dict());
        return vae;
    }

    private static void TrainVae(LatentDigitsOptions options, torch.Device device, CancellationToken cancellationToken)
    {
        const int LatentFeatures = 24;
        const int BatchSize = 128;
        Console.WriteLine($"{options.Vae} does not exist; training an autoencoder for {options.VaeSteps:N0} steps.");
        var grey = Mnist.OpenOrDownload(options.DataFolder, options: new MnistOptions { WithLabels = false }, cancellationToken: cancellationToken);
        torch.manual_seed(options.Seed);
        using var vae = DigitVae.Create(Hidden, LatentFeatures);
        var training = new TrainingClock(options.Minutes);
        using var trainer = DigitVae.Trainer(vae, options.VaeSteps, BatchSize, options.Seed, device, callback: training);
        trainer.Fit(grey, new ProgressLines(training, "-ELBO"), cancellationToken);
        using var averaged = trainer.Ema.BeginInference();
        ModelFile.Save(options.Vae, vae);
    }
}
