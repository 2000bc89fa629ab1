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
    /// <summary>Steps done.</summary>
    [JsonPropertyOrder(-2)]
    public required long Step { get; init; }

    /// <summary>How often the data was seen.</summary>
    [JsonPropertyOrder(-1)]
    public required double Epoch { get; init; }

    /// <summary>When it was written, in UTC.</summary>
    [JsonPropertyOrder(1)]
    public required DateTimeOffset Time { get; init; }
}

/// <summary>What happened to a run.</summary>
public sealed record EventRecord : RunRecord
{
    /// <summary>The run began at step 0; the details are its options and its environment.</summary>
    public const string Started = "started";

    /// <summary>It went on from a later step; the details as for <see cref="Started"/>.</summary>
    public const string Resumed = "resumed";

    /// <summary>A checkpoint was written.</summary>
    public const string Saved = "saved";

    /// <summary>All steps were done.</summary>
    public const string Finished = "finished";

    /// <summary>A callback stopped it; the details contain the reason.</summary>
    public const string Stopped = "stopped";

    /// <summary>It was cancelled.</summary>
    public const string Cancelled = "cancelled";

    /// <summary>Too many steps in a row were not finite.</summary>
    public const string Diverged = "diverged";

    /// <summary>An exception ended it; the details name its type.</summary>
    public const string Failed = "failed";

    /// <summary>Which of these, or another of a later version.</summary>
    public required string Name { get; init; }

    /// <summary>Further information, by name. It does not contain names of folders of the machine or of its user.</summary>
    public IReadOnlyDictionary<string, string> Details { get; init; } = new SortedDictionary<string, string>();
}

/// <summary>What anyone measured.</summary>
public sealed record MetricRecord : RunRecord
{
    /// <summary>What was measured.</summary>
    public required string Name { get; init; }

    /// <summary>The value.</summary>
    public required double Value { get; init; }
}

/// <summary>An image that was logged.</summary>
public sealed record ImageRecord : RunRecord
{
    /// <summary>What it shows.</summary>
    public required string Name { get; init; }

    /// <summary>The PNG file, relative to the folder of the metrics file, with slashes.</summary>
    public required string Path { get; init; }
}

/// <summary>What a trainer reported. See <see cref="TrainingProgress"/>.</summary>
public sealed record ReportRecord : RunRecord
{
    /// <summary>The mean loss of the steps since the last report that were not skipped; NaN when all were.</summary>
    public required double Loss { get; init; }

    /// <summary>The rate of the last step.</summary>
    public required double LearningRate { get; init; }

    /// <summary>The norm of all gradients of the last step, before clipping.</summary>
    public required double GradientNorm { get; init; }

    /// <summary>Since the last report.</summary>
    public required double SamplesPerSecond { get; init; }

    /// <summary>The time of one step, in the mean since the last report, in seconds; with all that was done between steps.</summary>
    public required double SecondsPerStep { get; init; }

    /// <summary>How long the steps since the last report waited for their batches, all together, in seconds.</summary>
    public required double DataWait { get; init; }

    /// <summary>Steps of the whole run that were skipped.</summary>
    public required long SkippedSteps { get; init; }

    /// <summary>Means, since the last report, of what the loss reports besides, by name.</summary>
    public required IReadOnlyDictionary<string, double> Metrics { get; init; }
}

/// <summary>A number about a run, such as a validation loss.</summary>
/// <param name="Value">Its value.</param>
/// <param name="Step">The steps done when it was taken.</param>
public sealed record RecordedMetric(double Value, long Step);

/// <summary>
/// Measures something now and then: <c>Every.Steps(1000, new CustomMetric("accuracy", run => ...).Run)</c>. The network is in evaluation
/// mode meanwhile and there are no gradients; what comes after is the same, bit for bit, as without it.
/// </summary>
/// <param name="name">What is measured; the log, metrics and the choice of the best checkpoint know it by this name.</param>
/// <param name="measure">The value. Tensors that it creates and does not dispose are freed.</param>
public sealed class CustomMetric(string name, Func<TrainingRun, double> measure)
{
    /// <summary>What is measured.</summary>
    public string Name { get; } = Guard.NotNull(name);

    /// <summary>The average whose weights are in the network meanwhile; null for the weights as they are trained.</summary>
    public string? Average { get; init; } = TrainerOptions.MainEma;

    /// <summary>Measures, and tells the run.</summary>
    /// <exception cref="ArgumentException">There is no average of that name.</exception>
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
