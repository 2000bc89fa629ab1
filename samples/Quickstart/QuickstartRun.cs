using System.Diagnostics;
using Diffusion.Core;
using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
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
        var schedule = DiscreteSchedule.Linear(steps: 1000);
        var sampler = new DdimSampler(schedule, options.SamplingSteps);
        using var digits = Condition.OfLabels([.. Enumerable.Range(0, Digits).Select(digit => (long)digit)]);
        var samples = new SampleGrid(sampler, [Digits, 1, options.ImageSize, options.ImageSize], options.File("progress"))
        {
            Seed = options.Seed,
            Condition = digits,
            Columns = Digits,
            Scale = Pictures.Scale(options),
        };
        var clock = Stopwatch.StartNew();
        using var trainer = new DdpmTrainer(unet, schedule, new SimpleLoss(), new TrainerOptions
        {
            BatchSize = options.BatchSize,
            Steps = options.Steps,
            // A small network and a run of minutes; what is not said here is as it comes.
            LearningRate = 1e-3,
            WarmupSteps = 100,
            Seed = options.Seed,
            Device = device,
            LogEvery = 10,
            CheckpointFolder = options.CheckpointFolder,
            Callbacks =
            [
                new MetricsFile(options.File(RunReport.MetricsName)),
                Every.Steps(200, samples.Run, atEnd: true),
                Every.Steps(1, run => StopInTime(run, clock, options)),
                new RunReport(options.Output),
            ],
        });
        if (weights is not null)
            trainer.LoadWeights(weights);
        if (options.Resume && !trainer.TryResume(options.CheckpointFolder))
            Console.WriteLine($"There is no checkpoint in {options.CheckpointFolder} yet; starting from scratch.");

        Console.WriteLine(
            $"{data.Count:N0} {options.Data} digits, U-Net of {unet.parameters().Sum(p => p.numel()):N0} parameters, "
            + $"at most {options.Steps:N0} steps or {options.Minutes} minutes"
            + (trainer.Step > 0 ? $", from step {trainer.Step:N0} on." : weights is not null ? $", from the weights in {weights}." : "."));
        Train(trainer, data, options, clock, cancellationToken);
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
        ? Mnist.OpenOrDownload(options.DataFolder, imageSize: options.ImageSize)
        : new SyntheticDigits(options.Seed, imageSize: options.ImageSize);

    /// <summary>The checkpoints of a run where its folder is given; else what is given.</summary>
    private static string FindWeights(string path)
    {
        var checkpoints = Path.Combine(path, OutputFolder.Checkpoints);
        return Directory.Exists(checkpoints) ? checkpoints
            : Path.Exists(path) ? path
            : throw new FileNotFoundException($"There are no weights to start from: {path} does not exist.", path);
    }

    /// <summary>Training ends at a number of steps or after some minutes, whichever comes first.</summary>
    private static void StopInTime(TrainingRun run, Stopwatch clock, QuickstartOptions options)
    {
        if (clock.Elapsed.TotalMinutes >= options.Minutes)
            run.Stop($"{options.Minutes} minutes are over.");
    }

    private static void Train(DdpmTrainer trainer, IDataset data, QuickstartOptions options, Stopwatch clock, CancellationToken cancellationToken)
    {
        var first = trainer.Step;
        clock.Restart();
        AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                var bar = context.AddTask("training");
                var progress = new TrainingBar(report =>
                {
                    bar.Description = $"step {report.Step:N0}  loss {report.Loss:F4}  {report.SamplesPerSecond:F0} images/s";
                    var bySteps = (report.Step - first) / (double)Math.Max(options.Steps - first, 1);
                    bar.Value = 100.0 * Math.Clamp(Math.Max(bySteps, clock.Elapsed.TotalMinutes / options.Minutes), 0.0, 1.0);
                });
                try
                {
                    trainer.Fit(data, progress, cancellationToken);
                }
                catch (OperationCanceledException)
                {
                    // The state is saved; the caller sees that it was asked to stop.
                }

                bar.Value = 100.0;
            });
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

    // Progress<T> would hand reports to the thread pool; the bar wants them in order.
    private sealed class TrainingBar(Action<TrainingProgress> report) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => report(value);
    }
}
