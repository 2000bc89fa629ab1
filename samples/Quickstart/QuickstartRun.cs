using Diffusion.Core;
using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Samples;
using Spectre.Console;
using TorchSharp;

namespace Quickstart;

/// <summary>Runs the complete workflow: data, network, schedule, trainer, sampler, images.</summary>
internal static class QuickstartRun
{
    private const int Digits = 10;

    // With fewer steps, most samples are not legible.
    private const long FewSteps = 1_000;

    public static int Execute(QuickstartOptions options, CancellationToken cancellationToken)
    {
        try
        {
            return Run(options, cancellationToken);
        }
        catch (Exception error) when (
            error is ArgumentException or IOException or InvalidDataException or UnauthorizedAccessException or DivergedException
                or TrainingOutOfMemoryException)
        {
            // Not by AnsiConsole, which would wrap lines within paths.
            Console.Error.WriteLine(
                error is ArgumentException { ParamName: { } name } ? error.Message.Replace($" (Parameter '{name}')", "") : error.Message);
            return 1;
        }
    }

    private static int Run(QuickstartOptions options, CancellationToken cancellationToken)
    {
        if (!options.Resume && OutputFolder.HoldsRun(options.Output))
            throw new IOException($"{options.Output} contains an earlier run: continue it with --resume, or specify another --output.");
        Threads.Choose();
        var device = DeviceName.Parse(options.Device);
        var weights = options.WeightsOnly is null ? null : FindWeights(options.WeightsOnly);
        var data = OpenData(options);
        torch.manual_seed(options.Seed);
        using var unet = new UNet(new UNetOptions
        {
            ImageSize = options.ImageSize,
            Channels = 1,
            Width = options.Width,
            Multipliers = [1, 2, 3],
            LayersPerBlock = 1,
            AttentionResolutions = [(((options.ImageSize + 1) / 2) + 1) / 2],
            HeadWidth = options.Width,
            Classes = Digits,
        });
        using var model = new DiffusionModel(unet, DiscreteSchedule.Linear(steps: 1000));
        var sampler = new DdimSampler(options.SamplingSteps);
        using var digits = Condition.OfLabels([.. Enumerable.Range(0, Digits).Select(digit => (long)digit)]);
        var samples = new SampleGrid(sampler, [Digits, 1, options.ImageSize, options.ImageSize], options.File("progress"))
        {
            Seed = options.Seed,
            Condition = digits,
            Columns = Digits,
            Scale = Pictures.Scale(options),
        };
        var clock = new TrainingClock(options.Minutes);
        using var trainer = new DdpmTrainer(model, new SimpleLoss(), new TrainerOptions
        {
            BatchSize = options.BatchSize,
            Steps = options.Steps,
            // Suitable for a small network and a short run; all other options have their defaults.
            LearningRate = 1e-3,
            WarmupSteps = 100,
            Seed = options.Seed,
            Device = device,
            LogEvery = 10,
            CheckpointFolder = options.CheckpointFolder,
            Callbacks =
            [
                new MetricsFile(options.File(RunReport.MetricsName)),
                Every.StepsAndEnd(200, samples.Run),
                clock,
                new RunReport(options.Output),
            ],
        });
        if (weights is not null)
            trainer.LoadWeights(weights);
        if (options.Resume && !trainer.TryResume(options.CheckpointFolder))
            Console.WriteLine($"There is no checkpoint in {options.CheckpointFolder}; starting a new run.");

        Console.WriteLine(
            $"{data.Count:N0} {options.Data} digits, U-Net with {unet.parameters().Sum(p => p.numel()):N0} parameters, "
            + $"{options.Steps:N0} steps" + (options.Minutes is { } minutes ? $", at most {minutes} minutes" : "")
            + (trainer.Step > 0 ? $", resumed from step {trainer.Step:N0}." : weights is not null ? $", starting from {weights}." : "."));
        if (trainer.Step >= options.Steps)
            Console.WriteLine("All steps are complete. Specify a larger --steps to continue training.");
        Train(trainer, data, clock, cancellationToken);
        if (cancellationToken.IsCancellationRequested)
        {
            Console.WriteLine($"Saved a checkpoint at step {trainer.Step:N0}. Resume with: {OutputFolder.ResumeCommand(options.Output)}");
            return 130;
        }

        AnsiConsole.MarkupLine("Sampling ...");
        Pictures.Draw(trainer.Ema, sampler, options);
        Report(options, trainer.Step);
        if (trainer.Step < FewSteps)
            Console.WriteLine(
                $"{trainer.Step:N0} steps are too few for legible digits. Continue training with: "
                + OutputFolder.ResumeCommand(options.Output, steps: Math.Max(options.Steps, options.DefaultSteps)));
        return 0;
    }

    private static IDataset OpenData(QuickstartOptions options) => options.Data == "mnist"
        ? Mnist.OpenOrDownload(options.DataFolder, options: new MnistOptions { ImageSize = options.ImageSize })
        : new SyntheticDigits(options.Seed, imageSize: options.ImageSize);

    /// <summary>Returns the checkpoint folder if the path is the folder of a run, and the path itself otherwise.</summary>
    private static string FindWeights(string path)
    {
        var checkpoints = Path.Combine(path, OutputFolder.Checkpoints);
        return Directory.Exists(checkpoints) ? checkpoints
            : Path.Exists(path) ? path
            : throw new FileNotFoundException($"The path of the initial weights does not exist: {path}.", path);
    }

    private static void Train(
        DdpmTrainer trainer, IDataset data, TrainingClock clock, CancellationToken cancellationToken)
    {
        try
        {
            if (Console.IsOutputRedirected)
            {
                trainer.Fit(data, new ProgressLines(clock), cancellationToken);
                return;
            }

            AnsiConsole.Progress()
                .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn())
                .Start(context =>
                {
                    var bar = context.AddTask("training", maxValue: 1.0);
                    trainer.Fit(data, new TrainingBar(bar, clock), cancellationToken);
                });
        }
        catch (OperationCanceledException)
        {
            // A checkpoint has been saved; the caller checks the cancellation token.
        }
    }

    private static void Report(QuickstartOptions options, long step)
    {
        var table = new Table().AddColumns("after " + step.ToString("N0") + " steps", "file");
        table.AddRow("one row for each digit", options.File("samples.png"));
        table.AddRow("one sample at several denoising steps", options.File("denoising.png"));
        table.AddRow("report of the run (open in a browser)", options.File(RunReport.ReportName));
        table.AddRow("metrics", options.File(RunReport.MetricsName));
        table.AddRow("checkpoints", options.CheckpointFolder);
        AnsiConsole.Write(table);
    }

    private sealed class TrainingBar(ProgressTask bar, TrainingClock clock) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value)
        {
            bar.Description = clock.Describe(value);
            bar.Value = value.Step < value.TotalSteps ? clock.Done(value) : 1.0;
        }
    }
}
