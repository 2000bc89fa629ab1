using System.CommandLine;
using Samples;

namespace LatentDigits;

/// <summary>The options of the sample and their defaults.</summary>
internal static class CommandLine
{
    public static RootCommand Create(Func<LatentDigitsOptions, CancellationToken, int> run)
    {
        var data = new Option<string?>("--data-dir") { Description = "The folder of the MNIST files (default: data/mnist, downloaded when missing)." };
        var vae = new Option<string>("--vae") { Description = "The autoencoder, as vae-digits writes it; trained and written here where it is missing.", DefaultValueFactory = _ => "runs/vae-digits/vae.safetensors" };
        var output = new Option<string>("--output") { Description = "Where the weights and the pictures go.", DefaultValueFactory = _ => "runs/latent-digits" };
        var vaeSteps = new Option<long>("--vae-steps") { Description = "Training steps of the autoencoder, where it is missing.", DefaultValueFactory = _ => 6_000 };
        var steps = new Option<long>("--steps") { Description = "Training steps of the denoiser.", DefaultValueFactory = _ => 10_000 };
        var minutes = TrainingClock.CreateOption();
        var samplingSteps = new Option<int>("--sampling-steps") { Description = "DDIM steps for the pictures.", DefaultValueFactory = _ => 100 };
        var columns = new Option<int>("--columns") { Description = "Samples of each digit.", DefaultValueFactory = _ => 12 };
        var seed = new Option<long>("--seed") { Description = "Fixes every random draw.", DefaultValueFactory = _ => 0 };
        var device = new Option<string>("--device") { Description = "cpu, cuda, cuda:N, or auto for the first that is there.", DefaultValueFactory = _ => "cpu" };

        var command = new RootCommand("Trains a class-conditional diffusion model in the latent space of an autoencoder of digits, and draws some.")
        {
            data, vae, output, vaeSteps, steps, minutes, samplingSteps, columns, seed, device,
        };
        command.SetAction((parsed, cancellation) =>
        {
            var options = new LatentDigitsOptions
            {
                DataFolder = parsed.GetValue(data),
                Vae = parsed.GetRequiredValue(vae),
                Output = parsed.GetRequiredValue(output),
                VaeSteps = parsed.GetRequiredValue(vaeSteps),
                Steps = parsed.GetRequiredValue(steps),
                Minutes = parsed.GetValue(minutes),
                SamplingSteps = parsed.GetRequiredValue(samplingSteps),
                Columns = parsed.GetRequiredValue(columns),
                Seed = parsed.GetRequiredValue(seed),
                Device = parsed.GetRequiredValue(device),
            };
            // On another thread: Ctrl-C is listened for once this call has returned.
            return Task.Run(() => run(options, cancellation), CancellationToken.None);
        });
        return command;
    }
}
