using System.Text.Json.Serialization;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>One line of a <see cref="MetricsFile"/>.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(ReportRecord), "report")]
[JsonDerivedType(typeof(MetricRecord), "metric")]
[JsonDerivedType(typeof(ImageRecord), "image")]
[JsonDerivedType(typeof(EventRecord), "event")]
public abstract record RunRecord
{
    /// <summary>The number of completed steps.</summary>
    [JsonPropertyOrder(-2)]
    public required long Step { get; init; }

    /// <summary>The number of passes over the data: 2.5 is halfway through the third pass.</summary>
    [JsonPropertyOrder(-1)]
    public required double Epoch { get; init; }

    /// <summary>The time at which the record was written, in UTC.</summary>
    [JsonPropertyOrder(1)]
    public required DateTimeOffset Time { get; init; }
}

/// <summary>An event of a run, such as its start, a checkpoint or its end.</summary>
public sealed record EventRecord : RunRecord
{
    /// <summary>The run started at step 0. The details are its options and its environment.</summary>
    public const string Started = "started";

    /// <summary>The run continued from a later step. The details are those of <see cref="Started"/>.</summary>
    public const string Resumed = "resumed";

    /// <summary>A checkpoint was written. The details contain the name of its folder.</summary>
    public const string Saved = "saved";

    /// <summary>The run ended after all steps.</summary>
    public const string Finished = "finished";

    /// <summary>A callback stopped the run. The details contain the reason.</summary>
    public const string Stopped = "stopped";

    /// <summary>The run was cancelled.</summary>
    public const string Cancelled = "cancelled";

    /// <summary>Too many consecutive steps had a loss or gradient that was not finite. The details contain their number.</summary>
    public const string Diverged = "diverged";

    /// <summary>An exception ended the run. The details contain its type and, if it was thrown by a callback, the callback.</summary>
    public const string Failed = "failed";

    /// <summary>The name of the event: one of the constants of this class, or a name that a later version of the library writes.</summary>
    public required string Name { get; init; }

    /// <summary>Further information, by name. It does not contain paths, the name of the machine or the name of its user.</summary>
    public IReadOnlyDictionary<string, string> Details { get; init; } = new SortedDictionary<string, string>();
}

/// <summary>A metric that was logged by <see cref="TrainingRun.LogMetric"/>.</summary>
public sealed record MetricRecord : RunRecord
{
    /// <summary>The name of the metric.</summary>
    public required string Name { get; init; }

    /// <summary>The value.</summary>
    public required double Value { get; init; }
}

/// <summary>An image that was logged by <see cref="TrainingRun.LogImage"/>.</summary>
public sealed record ImageRecord : RunRecord
{
    /// <summary>The name of the series of images.</summary>
    public required string Name { get; init; }

    /// <summary>The path of the PNG file relative to the folder of the metrics file, with forward slashes.</summary>
    public required string Path { get; init; }
}

/// <summary>A progress report of a trainer. See <see cref="TrainingProgress"/>.</summary>
public sealed record ReportRecord : RunRecord
{
    /// <summary>The mean loss of the steps since the last report that were not skipped; NaN if all were skipped.</summary>
    public required double Loss { get; init; }

    /// <summary>The learning rate of the last step.</summary>
    public required double LearningRate { get; init; }

    /// <summary>The norm of all gradients together in the last step, before clipping.</summary>
    public required double GradientNorm { get; init; }

    /// <summary>The number of samples per second since the last report.</summary>
    public required double SamplesPerSecond { get; init; }

    /// <summary>The mean time per step since the last report, in seconds, including the time between steps.</summary>
    public required double SecondsPerStep { get; init; }

    /// <summary>The total time for which the steps since the last report waited for their batches, in seconds.</summary>
    public required double DataWait { get; init; }

    /// <summary>The number of steps of the whole run that were skipped because their loss or gradient was not finite.</summary>
    public required long SkippedSteps { get; init; }

    /// <summary>Further means over the steps since the last report, by name. See <see cref="TrainingProgress.Metrics"/>.</summary>
    public required IReadOnlyDictionary<string, double> Metrics { get; init; }
}

/// <summary>The value of a metric, such as a validation loss, at one step.</summary>
/// <param name="Value">The value.</param>
/// <param name="Step">The number of completed steps when the value was recorded.</param>
public sealed record RecordedMetric(double Value, long Step);

/// <summary>
/// A custom metric that is computed at an interval of steps:
/// <c>Every.Steps(1000, new CustomMetric("accuracy", run => ...).Run)</c>. It is computed in evaluation mode and without gradients. The
/// training results are the same, bit for bit, as without the metric.
/// </summary>
/// <param name="name">The name of the metric in logs, records and <see cref="CheckpointRetention"/>.</param>
/// <param name="measure">Computes the value. Tensors that it creates and does not dispose are disposed after the call.</param>
public sealed class CustomMetric(string name, Func<TrainingRun, double> measure)
{
    /// <summary>The name of the metric.</summary>
    public string Name { get; } = Guard.NotNull(name);

    /// <summary>
    /// The name of the average whose weights the network has during the call; <see langword="null"/> for the trained weights. The
    /// default is
    /// <see cref="TrainerOptions.MainEma"/>.
    /// </summary>
    public string? Average { get; init; } = TrainerOptions.MainEma;

    /// <summary>Computes the metric and logs it with <see cref="TrainingRun.LogMetric"/>.</summary>
    /// <exception cref="ArgumentException">The run has no average of this name.</exception>
    public void Run(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        double value;
        using (run.UseWeights(Average))
        using (no_grad())
        using (NewDisposeScope())
            value = measure(run);
        run.LogMetric(Name, value);
    }
}

/// <summary>The format of records. NaN and the infinities are strings, so that they differ from a missing value.</summary>
[JsonSourceGenerationOptions(
    RespectNullableAnnotations = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(RunRecord))]
internal sealed partial class RunRecordJson : JsonSerializerContext;
