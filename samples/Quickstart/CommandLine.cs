using System.CommandLine;
using Samples;

namespace Quickstart;

/// <summary>The options of the sample and their defaults.</summary>
internal static class CommandLine
{
    public static RootCommand Create(Func<QuickstartOptions, CancellationToken, int> run)
    {
        var data = new Option<string>("--data") { Description = "What to train on: digits drawn by the library, or the real MNIST.", DefaultValueFactory = _ => "synthetic" };
        data.AcceptOnlyFromAmong("synthetic", "mnist");
        var dataFolder = new Option<string?>("--data-dir") { Description = "The folder of the MNIST files (default: data/mnist, downloaded when missing)." };
        var output = new Option<string?>("--output") { Description = "Where pictures and checkpoints go (default: runs/<data>, or the next free name)." };
        var resume = new Option<bool>("--resume") { Description = "Go on from the newest checkpoint." };
        var weightsOnly = new Option<string?>("--weights-only") { Description = "Start from the weights of an earlier run, a checkpoint or a safetensors file, and from nothing else of it." };
        var imageSize = new Option<int?>("--image-size") { Description = "Height and width of the digits (default: 16, for MNIST 28, which is also its least)." };
        var width = new Option<int?>("--width") { Description = "Channels of the U-Net's first level, a multiple of 4 (default: 16, for MNIST 24)." };
        var batchSize = new Option<int>("--batch-size") { Description = "Images in a step.", DefaultValueFactory = _ => 64 };
        var steps = new Option<long?>("--steps") { Description = "Training steps (default: 2,000, for MNIST 4,000)." };
        var minutes = TrainingClock.CreateOption();
        var samplingSteps = new Option<int>("--sampling-steps") { Description = "DDIM steps for the pictures.", DefaultValueFactory = _ => 50 };
        var columns = new Option<int>("--columns") { Description = "Samples of each digit in samples.png.", DefaultValueFactory = _ => 8 };
        var seed = new Option<long>("--seed") { Description = "Fixes every random draw.", DefaultValueFactory = _ => 0 };
        var device = new Option<string>("--device") { Description = "cpu, cuda, cuda:N, or auto for the first that is there.", DefaultValueFactory = _ => "cpu" };

        AtLeast<int?>(imageSize, 16);
        AtLeast<int?>(width, 4);
        AtLeast(batchSize, 1);
        AtLeast<long?>(steps, 1);
        AtLeast(samplingSteps, 1);
        AtLeast(columns, 1);

        var command = new RootCommand("Trains a class-conditional diffusion model on digits and draws some.")
        {
            data, dataFolder, output, resume, weightsOnly, imageSize, width, batchSize, steps, minutes, samplingSteps, columns, seed, device,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(resume) && result.GetValue(weightsOnly) is not null)
                result.AddError("--resume goes on with a run and --weights-only begins one: give one of them.");
        });
        command.SetAction((parsed, cancellation) =>
        {
            var name = parsed.GetRequiredValue(data);
            var mnist = name == "mnist";
            var options = new QuickstartOptions
            {
                Data = name,
                DataFolder = parsed.GetValue(dataFolder),
                Output = OutputFolder.Choose(parsed.GetValue(output), name, parsed.GetValue(resume)),
                Resume = parsed.GetValue(resume),
                WeightsOnly = parsed.GetValue(weightsOnly),
                ImageSize = parsed.GetValue(imageSize) ?? (mnist ? 28 : 16),
                Width = parsed.GetValue(width) ?? (mnist ? 24 : 16),
                BatchSize = parsed.GetRequiredValue(batchSize),
                Steps = parsed.GetValue(steps) ?? (mnist ? 4_000 : 2_000),
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

    private static void AtLeast<T>(Option<T> option, T least)
        => option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<T>() is { } value && Comparer<T>.Default.Compare(value, least) < 0)
                result.AddError($"{option.Name} must be at least {least}, got {value}.");
        });
}
