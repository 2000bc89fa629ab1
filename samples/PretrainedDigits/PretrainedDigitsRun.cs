using System.Diagnostics;
using Diffusion.Core;
using Diffusion.Core.Data;
using Diffusion.Core.Diffusers;
using Diffusion.Core.Samplers;
using Spectre.Console;

namespace PretrainedDigits;

/// <summary>Loads a diffusers pipeline and samples images with two samplers, in one row for each digit.</summary>
internal static class PretrainedDigitsRun
{
    private const int Digits = 10;

    /// <summary>The label that stands for "no class" in the training of the network.</summary>
    private const long NoClass = 10;

    public static int Execute(PretrainedDigitsOptions options, CancellationToken cancellationToken)
    {
        try
        {
            Draw(options, cancellationToken);
            return 0;
        }
        catch (OperationCanceledException)
        {
            return 130;
        }
        catch (Exception error) when (error is ArgumentException or IOException or InvalidDataException or NotSupportedException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }

    private static void Draw(PretrainedDigitsOptions options, CancellationToken cancellationToken)
    {
        using var pipeline = DiffusersPipeline.Load(options.Model, new DiffusersOptions { Device = DeviceName.Parse(options.Device) });
        var unet = pipeline.Models["unet"];
        AnsiConsole.MarkupLineInterpolated(
            $"Loaded {unet.Config.ClassName} with {unet.Network.parameters().Sum(parameter => parameter.numel()):N0} parameters from {options.Model}.");
        Directory.CreateDirectory(options.Output);
        var table = new Table().AddColumns("sampler", "steps", "seconds", "file");
        foreach (var (name, scheduler, steps) in new[]
        {
            ("ddim", "DDIMScheduler", options.DdimSteps),
            ("dpm-solver++", "DPMSolverMultistepScheduler", options.DpmSteps),
        })
        {
            var file = options.File(name + ".png");
            var seconds = Sample(pipeline, pipeline.Scheduler.As(scheduler), steps, file, options, cancellationToken);
            table.AddRow(name, $"{steps}", $"{seconds:F1}", file);
        }

        AnsiConsole.Write(table);
    }

    private static double Sample(
        DiffusersPipeline pipeline, SchedulerConfig scheduler, int steps, string file, PretrainedDigitsOptions options, CancellationToken cancellationToken)
    {
        var labels = new long[Digits * options.Columns];
        for (var i = 0; i < labels.Length; i++)
            labels[i] = i / options.Columns;
        var clock = Stopwatch.StartNew();
        AnsiConsole.Progress().Start(context =>
        {
            var bar = context.AddTask(scheduler.ClassName, maxValue: steps);
            using var images = pipeline.Sample(
                new PipelineRequest
                {
                    Labels = labels,
                    NullLabel = NoClass,
                    GuidanceScale = options.Guidance,
                    Steps = steps,
                    Scheduler = scheduler,
                    Seed = options.Seed,
                },
                new Bar(step => bar.Value = step),
                cancellationToken);
            ImageGrid.SavePng(images, file, columns: options.Columns, scale: 2);
        });
        return clock.Elapsed.TotalSeconds;
    }

    // Progress<T> would pass reports to the thread pool, which does not keep their order.
    private sealed class Bar(Action<int> report) : IProgress<SamplingProgress>
    {
        public void Report(SamplingProgress value) => report(value.Step);
    }
}
