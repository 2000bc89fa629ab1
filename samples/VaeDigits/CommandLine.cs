using System.CommandLine;
using Samples;

namespace VaeDigits;

/// <summary>The command-line options of the sample and their defaults.</summary>
internal static class CommandLine
{
    public static RootCommand Create(Func<VaeDigitsOptions, CancellationToken, int> run)
    {
        var data = new Option<string?>("--data-dir") { Description = "The folder of the MNIST files (default: data/mnist). Missing files are downloaded." };
        var output = new Option<string>("--output") { Description = "The folder for weights and images.", DefaultValueFactory = _ => "runs/vae-digits" };
        var hidden = new Option<int[]>("--hidden") { Description = "The widths of the hidden layers of the encoder.", DefaultValueFactory = _ => [400, 200], AllowMultipleArgumentsPerToken = true };
        var latent = new Option<int>("--latent") { Description = "The number of latent features.", DefaultValueFactory = _ => 24 };
        var two = new Option<bool>("--two-encoders") { Description = "Use separate encoders for the mean and the log variance." };
        var batchSize = new Option<int>("--batch-size") { Description = "The number of images in a step.", DefaultValueFactory = _ => 128 };
        var steps = new Option<long>("--steps") { Description = "The number of training steps.", DefaultValueFactory = _ => 20_000 };
        var manifold = new Option<long>("--manifold-steps") { Description = "The number of training steps of a second network with two latent features, whose latent plane is saved as an image; 0 skips it.", DefaultValueFactory = _ => 3_000 };
        var minutes = TrainingClock.CreateOption();
        var importance = new Option<int>("--importance-samples") { Description = "The number of draws for each digit in the importance-weighted bound; 0 skips it.", DefaultValueFactory = _ => 20 };
        var seed = new Option<long>("--seed") { Description = "The seed of all random numbers.", DefaultValueFactory = _ => 0 };
        var device = new Option<string>("--device") { Description = "The device: cpu, cuda, cuda:N, or auto for the first available one.", DefaultValueFactory = _ => "cpu" };

        NumberOptions.CheckEach(hidden, least: 1);
        NumberOptions.Check(latent, least: 1);
        NumberOptions.Check(batchSize, least: 1);
        NumberOptions.Check(steps, least: 1);
        NumberOptions.Check(manifold, least: 0);
        NumberOptions.Check(importance, least: 0);
        NumberOptions.Check(seed);
        var command = new RootCommand("Trains a variational autoencoder on binary MNIST digits, and computes its bounds on the test set.")
        {
            data, output, hidden, latent, two, batchSize, steps, manifold, minutes, importance, seed, device,
        };
        command.SetAction((parsed, cancellation) =>
        {
            var options = new VaeDigitsOptions
            {
                DataFolder = parsed.GetValue(data),
                Output = parsed.GetRequiredValue(output),
                Hidden = parsed.GetRequiredValue(hidden),
                LatentFeatures = parsed.GetRequiredValue(latent),
                TwoEncoders = parsed.GetValue(two),
                BatchSize = parsed.GetRequiredValue(batchSize),
                Steps = parsed.GetRequiredValue(steps),
                ManifoldSteps = parsed.GetRequiredValue(manifold),
                Minutes = parsed.GetValue(minutes),
                ImportanceSamples = parsed.GetRequiredValue(importance),
                Seed = parsed.GetRequiredValue(seed),
                Device = parsed.GetRequiredValue(device),
            };
            // On another thread: if its signal handling is enabled, System.CommandLine handles Ctrl-C only after this call has returned.
            return Task.Run(() => run(options, cancellation), CancellationToken.None);
        });
        return command;
    }
}
