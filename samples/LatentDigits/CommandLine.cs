using System.CommandLine;
using Samples;

namespace LatentDigits;

/// <summary>The command-line options of the sample and their defaults.</summary>
internal static class CommandLine
{
    public static RootCommand Create(Func<LatentDigitsOptions, CancellationToken, int> run)
    {
        var data = new Option<string?>("--data-dir") { Description = "The folder of the MNIST files (default: data/mnist). Missing files are downloaded." };
        var vae = new Option<string>("--vae") { Description = "The file of the autoencoder, as saved by vae-digits. If it does not exist, an autoencoder is trained and saved to it.", DefaultValueFactory = _ => "runs/vae-digits/vae.safetensors" };
        var output = new Option<string>("--output") { Description = "The folder for weights and images.", DefaultValueFactory = _ => "runs/latent-digits" };
        var vaeSteps = new Option<long>("--vae-steps") { Description = "The number of training steps of the autoencoder, if it does not exist yet.", DefaultValueFactory = _ => 6_000 };
        var steps = new Option<long>("--steps") { Description = "Training steps of the denoiser.", DefaultValueFactory = _ => 10_000 };
        var minutes = TrainingClock.CreateOption();
        var samplingSteps = new Option<int>("--sampling-steps") { Description = "The number of DDIM steps.", DefaultValueFactory = _ => 100 };
        var columns = new Option<int>("--columns") { Description = "The number of samples of each digit.", DefaultValueFactory = _ => 12 };
        var seed = new Option<long>("--seed") { Description = "The seed of all random numbers.", DefaultValueFactory = _ => 0 };
        var device = new Option<string>("--device") { Description = "The device: cpu, cuda, cuda:N, or auto for the first available one.", DefaultValueFactory = _ => "cpu" };

        NumberOptions.Check(vaeSteps, least: 1);
        NumberOptions.Check(steps, least: 1);
        NumberOptions.Check(samplingSteps, least: 1);
        NumberOptions.Check(columns, least: 1);
        NumberOptions.Check(seed);
        var command = new RootCommand("Trains a class-conditional diffusion model in the latent space of an autoencoder, and samples digits from it.")
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
            // On another thread: if its signal handling is enabled, System.CommandLine handles Ctrl-C only after this call has returned.
            return Task.Run(() => run(options, cancellation), CancellationToken.None);
        });
        return command;
    }
}
