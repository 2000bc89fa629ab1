using System.CommandLine;
using System.Diagnostics;
using Diffusion.Core;

namespace Samples;

/// <summary>Estimates the remaining training time, and stops training after a given number of minutes.</summary>
/// <param name="minutes">The maximum training time in minutes, or <see langword="null"/> for no limit.</param>
internal sealed class TrainingClock(double? minutes) : TrainerCallback
{
    private readonly Stopwatch _clock = new();
    private long _firstStep;

    public static Option<double?> CreateOption()
    {
        var option = new Option<double?>("--minutes")
        {
            Description = "The maximum training time of each network, in minutes (default: no limit).",
        };
        NumberOptions.Check(option, least: 0.0);
        return option;
    }

    public override void Started(TrainingRun run)
    {
        _firstStep = run.Step;
        _clock.Restart();
    }

    public override void AfterStep(TrainingRun run)
    {
        if (minutes is { } limit && _clock.Elapsed.TotalMinutes >= limit)
            run.Stop($"The time limit of {limit} minutes was reached.");
    }

    /// <summary>Returns the estimated progress of this run, from 0 to 1.</summary>
    public double Done(TrainingProgress progress)
    {
        var elapsed = _clock.Elapsed;
        return elapsed / (elapsed + TimeLeft(progress));
    }

    /// <summary>Returns one line of text with the step, the loss, the speed and the remaining time.</summary>
    public string Describe(TrainingProgress progress, string loss = "loss")
        => $"step {progress.Step:N0} of {progress.TotalSteps:N0}  {loss} {progress.Loss:F4}  "
            + $"{progress.SamplesPerSecond:F0} samples/s  {Format(TimeLeft(progress))} left";

    private static string Format(TimeSpan time)
        => time.TotalHours >= 1.0 ? $"{(int)time.TotalHours} h {time.Minutes} min"
            : time.TotalMinutes >= 1.0 ? $"{time.Minutes} min {time.Seconds} s"
            : $"{time.Seconds} s";

    private TimeSpan TimeLeft(TrainingProgress progress)
    {
        var elapsed = _clock.Elapsed;
        var left = elapsed * ((progress.TotalSteps - progress.Step) / (double)Math.Max(progress.Step - _firstStep, 1));
        if (minutes is { } limit && TimeSpan.FromMinutes(limit) - elapsed is var rest && rest < left)
            left = rest;
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }
}
