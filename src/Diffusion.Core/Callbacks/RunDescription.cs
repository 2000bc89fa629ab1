using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Diffusion.Core;

/// <summary>
/// The model, the options and the environment of a run as texts by name, without the name of a folder, machine or user.
/// </summary>
internal static class RunDescription
{
    public static SortedDictionary<string, string> Of(TrainingRun run)
    {
        var (options, trainer) = (run.Options, run.Trainer);
        var texts = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["trainer"] = trainer.GetType().Name,
            ["network"] = trainer.State.Module.GetType().Name,
            ["data_set"] = trainer.State.Dataset,
            ["parameters"] = Text(trainer.State.Parameters.Slices.Sum(slice => slice.Count)),
            ["device"] = trainer.Device.ToString(),
            ["weights"] = trainer.State.Parameters.Dtype.ToString(),
            ["precision"] = options.Precision.Name,
            ["channels_last"] = options.ChannelsLast ? "yes" : "no",
            ["steps"] = Text(options.Steps),
            ["batch_size"] = Text(options.BatchSize),
            ["micro_batch_size"] = options.MicroBatchSize is { } size ? Text(size) : "the whole batch",
            ["seed"] = Text(options.Seed),
            ["learning_rate"] = options.LearningRateSchedule is null ? Text(options.LearningRate) : "a schedule",
            ["warmup_steps"] = options.LearningRateSchedule is null ? Text(options.WarmupSteps) : "of the schedule",
            ["optimizer"] = NameOf(options.Optimizer).Replace($" Name = {options.Optimizer.Name},", "", StringComparison.Ordinal),
            ["clip_norm"] = options.MaxGradNorm is { } norm ? Text(norm) : "none",
            ["averages"] = string.Join(", ", options.AllAverages.Select(average => $"{average.Key}: {NameOf(average.Value)}")),
            ["timesteps"] = options.Timesteps.GetType().Name,
            ["log_every"] = Text(options.LogEvery),
            ["checkpoint_every"] = options.CheckpointFolder is null ? "never" : Text(options.CheckpointEvery),
            ["library"] = Version(typeof(Trainer).Assembly),
            ["torch"] = Version(typeof(torch).Assembly),
            ["runtime"] = RuntimeInformation.FrameworkDescription,
            ["system"] = $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}",
            ["processors"] = Text(Environment.ProcessorCount),
        };
        trainer.Describe(texts);
        return texts;
    }

    /// <summary>Returns the text of an object if its class defines one, and otherwise the name of the class.</summary>
    public static string NameOf(object value)
    {
        var before = CultureInfo.CurrentCulture;
        try
        {
            // The generated ToString of a record formats its numbers in the current culture.
            CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
            return value.ToString() is { Length: > 0 } text && text != value.GetType().ToString() ? text : value.GetType().Name;
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    /// <summary>Returns the class of a data set, the number of its samples, and their shape and range if they are known.</summary>
    public static string NameOf<TBatch>(IDataset<TBatch> dataset)
        where TBatch : IDisposable
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"{NameOf((object)dataset)}, {dataset.Count} samples");
        return dataset is IDataset known
            ? $"{text} {Guard.Format([.. known.SampleShape])}" + (known.DataRange is { } range ? $" in {range}" : "")
            : text;
    }

    private static string Version(Assembly assembly) => $"{assembly.GetName().Name} {assembly.GetName().Version?.ToString(3)}";

    private static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);
}
