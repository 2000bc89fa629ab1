using System.Diagnostics;
using Diffusion.Core;
using Diffusion.Core.Data;
using Diffusion.Core.Evaluation;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Samples;
using TorchSharp;

namespace VaeDigits;

/// <summary>Trains a variational autoencoder, evaluates its bounds on the test set, and saves images.</summary>
internal static class VaeDigitsRun
{
    private const int EvaluationBatch = 500;

    // With fewer steps, images are blurred.
    private const long FewSteps = 2_000;

    public static int Execute(VaeDigitsOptions options, CancellationToken cancellationToken)
    {
        try
        {
            Run(options, cancellationToken);
            return 0;
        }
        catch (OperationCanceledException)
        {
            Console.WriteLine("Stopped. Run the same command again to resume from the last checkpoint.");
            return 130;
        }
        catch (Exception error) when (
            error is ArgumentException or IOException or InvalidDataException or UnauthorizedAccessException or DivergedException
                or TrainingOutOfMemoryException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }

    /// <summary>Runs the sample.</summary>
    /// <returns>The mean evidence lower bound over the test set, in nats.</returns>
    public static double Run(VaeDigitsOptions options, CancellationToken cancellationToken)
    {
        Threads.Choose();
        var train = Mnist.OpenOrDownload(options.DataFolder, options: new MnistOptions { WithLabels = false }, cancellationToken: cancellationToken);
        var test = Mnist.OpenOrDownload(options.DataFolder, DataSplit.Test, new MnistOptions { WithLabels = false }, cancellationToken: cancellationToken);
        Directory.CreateDirectory(options.Output);
        var device = DeviceName.Parse(options.Device);
        var clock = Stopwatch.StartNew();

        torch.manual_seed(options.Seed);
        using var vae = DigitVae.Create(options.Hidden, options.LatentFeatures, options.TwoEncoders);
        Console.WriteLine(
            $"Training a variational autoencoder with {ModuleWeights.Count(vae):N0} parameters "
            + $"for {options.Steps:N0} steps of {options.BatchSize} images.");
        var training = new TrainingClock(options.Minutes);
        using var trainer = DigitVae.Trainer(
            vae, options.Steps, options.BatchSize, options.Seed, device, options.File("checkpoints"), training);
        trainer.Fit(train, new ProgressLines(training, "-ELBO"), cancellationToken);

        using var averaged = trainer.Ema.BeginInference();
        ModelFile.Save(options.File("vae.safetensors"), vae);
        var elbo = Bound(vae, test, options, 0, cancellationToken);
        Console.WriteLine($"Test ELBO: {elbo:F2} nats over 784 binary pixels, after {clock.Elapsed.TotalMinutes:F1} minutes.");
        if (options.ImportanceSamples > 0)
        {
            var weighted = Bound(vae, test, options, options.ImportanceSamples, cancellationToken);
            Console.WriteLine($"Importance-weighted bound, {options.ImportanceSamples} draws: {weighted:F2} nats.");
        }

        Pictures.DrawReconstructions(vae, test, options);
        Pictures.DrawPriorSamples(vae, options);
        if (options.ManifoldSteps > 0)
            DrawManifold(train, options, device, cancellationToken);
        if (trainer.Step < FewSteps)
            Console.WriteLine(
                $"{trainer.Step:N0} steps are too few for sharp images. Run the same command with a larger --steps to continue training.");
        Console.WriteLine($"Images and weights were saved to {options.Output} after {clock.Elapsed.TotalMinutes:F1} minutes.");
        return elbo;
    }

    /// <summary>
    /// Returns the mean bound over the test set, with one random binarization of each digit: the importance-weighted bound, or the evidence
    /// lower bound if <paramref name="importanceSamples"/> is 0.
    /// </summary>
    private static double Bound(
        IAutoencoder vae, Mnist test, VaeDigitsOptions options, int importanceSamples, CancellationToken cancellationToken)
    {
        using var generator = new torch.Generator((ulong)options.Seed);
        var sum = 0.0;
        for (var first = 0L; first < test.Count; first += EvaluationBatch)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = torch.NewDisposeScope();
            using var batch = test.Load([.. Enumerable.Range((int)first, (int)Math.Min(EvaluationBatch, test.Count - first))]);
            var binary = DynamicBinarization.Draw(batch.Samples, generator).to(vae.Device ?? torch.CPU);
            var bounds = importanceSamples == 0
                ? AutoencoderBound.Evidence(vae, DigitVae.Likelihood, binary, generator: generator)
                : AutoencoderBound.ImportanceWeighted(vae, DigitVae.Likelihood, binary, importanceSamples, generator);
            sum += bounds.sum().item<float>();
        }

        return sum / test.Count;
    }

    private static void DrawManifold(IDataset train, VaeDigitsOptions options, torch.Device device, CancellationToken cancellationToken)
    {
        Console.WriteLine("Training a second network with two latent features.");
        using var flat = DigitVae.Create(options.Hidden, latentFeatures: 2);
        var training = new TrainingClock(options.Minutes);
        using var trainer = DigitVae.Trainer(flat, options.ManifoldSteps, options.BatchSize, options.Seed, device, callback: training);
        trainer.Fit(train, new ProgressLines(training, "-ELBO"), cancellationToken);
        Pictures.DrawPlane(trainer.Ema, options);
    }
}
