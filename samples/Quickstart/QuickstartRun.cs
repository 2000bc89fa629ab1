using System.Diagnostics;
using Diffusion.Core;
using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
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
        catch (Exception error) when (error is ArgumentException or IOException or InvalidDataException or UnauthorizedAccessException or DivergedException or TrainingOutOfMemoryException)
        {
            AnsiConsole.MarkupLineInterpolated($"[red]{error.Message}[/]");
            return 1;
        }
    }

    private static int Run(QuickstartOptions options, CancellationToken cancellationToken)
    {
        if (!options.Resume && Directory.Exists(options.CheckpointFolder))
            throw new IOException($"{options.Output} holds an earlier run: go on with it by --resume, or choose another --output.");
        Directory.CreateDirectory(options.Output);
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
        using var trainer = new DdpmTrainer(unet, schedule, new SimpleLoss(), new TrainerOptions
        {
            BatchSize = options.BatchSize,
            Steps = options.Steps,
            LearningRate = 1e-3,
            WarmupSteps = 100,
            Ema = EmaDecay.WarmUp(0.998),
            Seed = options.Seed,
            Device = DeviceName.Parse(options.Device),
            LogEvery = 10,
            CheckpointEvery = 500,
            CheckpointFolder = options.CheckpointFolder,
        });
        if (options.WeightsOnly is not null)
            trainer.LoadWeights(options.WeightsOnly);
        if (options.Resume && !trainer.TryResume(options.CheckpointFolder))
            AnsiConsole.MarkupLineInterpolated($"[yellow]There is no checkpoint in {options.CheckpointFolder} yet; starting from scratch.[/]");

        AnsiConsole.MarkupLineInterpolated(
            $"{data.Count:N0} {options.Data} digits, U-Net of {unet.parameters().Sum(p => p.numel()):N0} parameters, at most {options.Steps:N0} steps or {options.Minutes} minutes.");
        var history = new LossHistory(options.File("loss.csv"), trainer.Step);
        Train(trainer, data, options, history, cancellationToken);
        history.Draw(options.File("loss.svg"));
        if (cancellationToken.IsCancellationRequested)
        {
            AnsiConsole.MarkupLineInterpolated($"Stopped and saved at step {trainer.Step:N0}. To go on: [bold]quickstart {OutputFolder.ResumeArguments(options.Output)}[/]");
            return 130;
        }

        AnsiConsole.MarkupLine("Drawing ...");
        Pictures.Draw(trainer.Ema, schedule, options);
        Report(options, trainer.Step);
        return 0;
    }

    private static IDataset OpenData(QuickstartOptions options) => options.Data == "mnist"
        ? Mnist.OpenOrDownload(options.DataFolder, imageSize: options.ImageSize)
        : new SyntheticDigits(options.Seed, imageSize: options.ImageSize);

    private static void Train(DdpmTrainer trainer, IDataset data, QuickstartOptions options, LossHistory history, CancellationToken cancellationToken)
    {
        // Training ends at a number of steps or after some minutes, whichever comes first.
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        ending.CancelAfter(TimeSpan.FromMinutes(options.Minutes));
        var limit = TimeSpan.FromMinutes(options.Minutes);
        var clock = Stopwatch.StartNew();
        var first = trainer.Step;
        AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                var bar = context.AddTask("training");
                var progress = new TrainingBar(report =>
                {
                    history.Add(report.Step, report.Loss);
                    bar.Description = $"step {report.Step:N0}  loss {report.Loss:F4}  {report.SamplesPerSecond:F0} images/s";
                    var bySteps = (report.Step - first) / (double)Math.Max(options.Steps - first, 1);
                    bar.Value = 100.0 * Math.Clamp(Math.Max(bySteps, clock.Elapsed / limit), 0.0, 1.0);
                });
                try
                {
                    trainer.Fit(data, progress, ending.Token);
                }
                catch (OperationCanceledException)
                {
                    // The state is saved; who stopped it decides what happens next.
                }

                bar.Value = 100.0;
            });
    }

    private static void Report(QuickstartOptions options, long step)
    {
        var table = new Table().AddColumns("after " + step.ToString("N0") + " steps", "file");
        table.AddRow("one row for each digit", options.File("samples.png"));
        table.AddRow("one sample through time", options.File("denoising.png"));
        table.AddRow("loss", options.File("loss.svg"));
        table.AddRow("checkpoint", options.CheckpointFolder);
        AnsiConsole.Write(table);
    }

    // Progress<T> would hand reports to the thread pool; the bar wants them in order.
    private sealed class TrainingBar(Action<TrainingProgress> report) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => report(value);
    }
}
