using System.CommandLine;
using Samples;

namespace VaeDigits;

/// <summary>The options of the sample and their defaults.</summary>
internal static class CommandLine
{
    public static RootCommand Create(Func<VaeDigitsOptions, CancellationToken, int> run)
    {
        var data = new Option<string?>("--data-dir") { Description = "The folder of the MNIST files (default: data/mnist, downloaded when missing)." };
        var output = new Option<string>("--output") { Description = "Where the weights and the pictures go.", DefaultValueFactory = _ => "runs/vae-digits" };
        var hidden = new Option<int[]>("--hidden") { Description = "Widths of the encoder's hidden layers.", DefaultValueFactory = _ => [400, 200], AllowMultipleArgumentsPerToken = true };
        var latent = new Option<int>("--latent") { Description = "Features of the code.", DefaultValueFactory = _ => 24 };
        var two = new Option<bool>("--two-encoders") { Description = "Separate encoders for the mean and the log variance." };
        var batchSize = new Option<int>("--batch-size") { Description = "Images in a step.", DefaultValueFactory = _ => 128 };
        var steps = new Option<long>("--steps") { Description = "Training steps.", DefaultValueFactory = _ => 20_000 };
        var manifold = new Option<long>("--manifold-steps") { Description = "Training steps of a second network with a code of 2, for the picture of its plane.", DefaultValueFactory = _ => 3_000 };
        var minutes = TrainingClock.CreateOption();
        var importance = new Option<int>("--importance-samples") { Description = "Draws for each digit in the importance-weighted bound; 0 leaves it out.", DefaultValueFactory = _ => 20 };
        var seed = new Option<long>("--seed") { Description = "Fixes every random draw.", DefaultValueFactory = _ => 0 };
        var device = new Option<string>("--device") { Description = "cpu, cuda, cuda:N, or auto for the first that is there.", DefaultValueFactory = _ => "cpu" };

        var command = new RootCommand("Trains a variational autoencoder on binary MNIST digits, and tells how well it explains new ones.")
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
            // On another thread: Ctrl-C is listened for once this call has returned.
            return Task.Run(() => run(options, cancellation), CancellationToken.None);
        });
        return command;
    }
}
