using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Diffusion.Core;

/// <summary>The options and the environment of a run as texts by name, without the name of a folder, machine or user.</summary>
internal static class RunDescription
{
    public static SortedDictionary<string, string> Of(TrainingRun run)
    {
        var (options, trainer) = (run.Options, run.Trainer);
        var texts = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["trainer"] = trainer.GetType().Name,
            ["parameters"] = Text(trainer.ParameterCount),
            ["device"] = trainer.Device.ToString(),
            ["weights"] = trainer.WeightType.ToString(),
            ["precision"] = options.Precision.Name,
            ["channels_last"] = options.ChannelsLast ? "yes" : "no",
            ["steps"] = Text(options.Steps),
            ["batch_size"] = Text(options.BatchSize),
            ["micro_batch_size"] = options.MicroBatchSize is { } size ? Text(size) : "the whole batch",
            ["seed"] = Text(options.Seed),
            ["learning_rate"] = options.LearningRateSchedule is null ? Text(options.LearningRate) : "a schedule",
            ["warmup_steps"] = options.LearningRateSchedule is null ? Text(options.WarmupSteps) : "of the schedule",
            ["optimizer"] = $"{options.Optimizer}".Replace($" Name = {options.Optimizer.Name},", "", StringComparison.Ordinal),
            ["clip_norm"] = options.ClipNorm is { } norm ? Text(norm) : "none",
            ["averages"] = string.Join(", ", options.AllAverages.Select(average => average.Key)),
            ["timesteps"] = options.Timesteps.GetType().Name,
            ["log_every"] = Text(options.LogEvery),
            ["checkpoint_every"] = options.CheckpointFolder is null ? "never" : Text(options.CheckpointEvery),
            ["library"] = Version(typeof(Trainer).Assembly),
            ["torch"] = Version(typeof(torch).Assembly),
            ["runtime"] = RuntimeInformation.FrameworkDescription,
            ["system"] = $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}",
            ["processors"] = Text(Environment.ProcessorCount),
        };
        return texts;
    }

    private static string Version(Assembly assembly) => $"{assembly.GetName().Name} {assembly.GetName().Version?.ToString(3)}";

    private static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);
}
