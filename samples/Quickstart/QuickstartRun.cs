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

/// <summary>The whole path of the library: data, network, schedule, trainer, sampler, pictures.</summary>
internal static class QuickstartRun
{
    private const int Digits = 10;

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
            // Not wrapped, so that paths stay whole.
            Console.Error.WriteLine(
                error is ArgumentException { ParamName: { } name } ? error.Message.Replace($" (Parameter '{name}')", "") : error.Message);
            return 1;
        }
    }

    private static int Run(QuickstartOptions options, CancellationToken cancellationToken)
    {
        if (!options.Resume && OutputFolder.HoldsRun(options.Output))
            throw new IOException($"{options.Output} holds an earlier run: go on with it by --resume, or choose another --output.");
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
            // A small network and a short run; the rest are the defaults.
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
            Console.WriteLine($"There is no checkpoint in {options.CheckpointFolder} yet; starting from scratch.");

        Console.WriteLine(
            $"{data.Count:N0} {options.Data} digits, U-Net of {unet.parameters().Sum(p => p.numel()):N0} parameters, "
            + $"{options.Steps:N0} steps" + (options.Minutes is { } minutes ? $", at most {minutes} minutes" : "")
            + (trainer.Step > 0 ? $", from step {trainer.Step:N0} on." : weights is not null ? $", from the weights in {weights}." : "."));
        if (trainer.Step >= options.Steps)
            Console.WriteLine("All steps are done; a larger --steps trains further.");
        Train(trainer, data, clock, cancellationToken);
        if (cancellationToken.IsCancellationRequested)
        {
            Console.WriteLine($"Stopped and saved at step {trainer.Step:N0}. To go on: {OutputFolder.ResumeCommand(options.Output)}");
            return 130;
        }

        AnsiConsole.MarkupLine("Drawing ...");
        Pictures.Draw(trainer.Ema, sampler, options);
        Report(options, trainer.Step);
        return 0;
    }

    private static IDataset OpenData(QuickstartOptions options) => options.Data == "mnist"
        ? Mnist.OpenOrDownload(options.DataFolder, options: new MnistOptions { ImageSize = options.ImageSize })
        : new SyntheticDigits(options.Seed, imageSize: options.ImageSize);

    /// <summary>The checkpoints of a run where its folder is given; else what is given.</summary>
    private static string FindWeights(string path)
    {
        var checkpoints = Path.Combine(path, OutputFolder.Checkpoints);
        return Directory.Exists(checkpoints) ? checkpoints
            : Path.Exists(path) ? path
            : throw new FileNotFoundException($"There are no weights to start from: {path} does not exist.", path);
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
                    bar.Value = bar.MaxValue;
                });
        }
        catch (OperationCanceledException)
        {
            // The state is saved; the caller sees that it was asked to stop.
        }
    }

    private static void Report(QuickstartOptions options, long step)
    {
        var table = new Table().AddColumns("after " + step.ToString("N0") + " steps", "file");
        table.AddRow("one row for each digit", options.File("samples.png"));
        table.AddRow("one sample through time", options.File("denoising.png"));
        table.AddRow("the run, to open in a browser", options.File(RunReport.ReportName));
        table.AddRow("its numbers", options.File(RunReport.MetricsName));
        table.AddRow("checkpoint", options.CheckpointFolder);
        AnsiConsole.Write(table);
    }

    private sealed class TrainingBar(ProgressTask bar, TrainingClock clock) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value)
        {
            bar.Description = clock.Describe(value);
            bar.Value = clock.Done(value);
        }
    }
}
