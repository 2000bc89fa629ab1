using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Diffusion.Core;

/// <summary>The content of trainer.json: the progress of the run, its settings, and the other files of the checkpoint.</summary>
internal sealed record CheckpointManifest
{
    /// <summary>The value of <see cref="Format"/>.</summary>
    public const string FormatName = "diffusion-core-trainer";

    /// <summary>
    /// The value of <see cref="Version"/> that is written. Version 1, which lacks the optional properties, can be read too.
    /// </summary>
    public const int CurrentVersion = 2;

    private const int OldestVersion = 1;

    /// <summary>The file format: <see cref="FormatName"/>.</summary>
    public required string Format { get; init; }

    /// <summary>The version of the file format.</summary>
    public required int Version { get; init; }

    /// <summary>The number of steps taken.</summary>
    public required long Step { get; init; }

    /// <summary>The seed. Together with the step it determines every random draw and the position in the data.</summary>
    public required long Seed { get; init; }

    /// <summary>The number of samples in each step.</summary>
    public required int BatchSize { get; init; }

    /// <summary>The number of samples that are passed to the network at once; <see langword="null"/> for whole batches.</summary>
    public int? MicroBatchSize { get; init; }

    /// <summary>The number of samples in the data set; <see langword="null"/> if batches were passed to the trainer directly.</summary>
    public required long? DatasetCount { get; init; }

    /// <summary>The number of steps skipped so far.</summary>
    public required long SkippedSteps { get; init; }

    /// <summary>The number of consecutive steps skipped immediately before the checkpoint.</summary>
    public required long SkippedInARow { get; init; }

    /// <summary>The fingerprint of the noise schedule; <see langword="null"/> for a trainer without one.</summary>
    public required ScheduleFingerprint? Schedule { get; init; }

    /// <summary>The other settings that must be the same when the run is resumed; <see langword="null"/> in version 1.</summary>
    public JsonObject? MadeWith { get; init; }

    /// <summary>The partial sums of the next report, by name. The name of the loss is the empty string.</summary>
    public SortedDictionary<string, ReportSum> Sums { get => field ?? []; init; }

    /// <summary>The newest value of each metric.</summary>
    public IReadOnlyDictionary<string, RecordedMetric> Metrics { get => field ?? new SortedDictionary<string, RecordedMetric>(); init; }

    /// <summary>The state of each stateful callback, by its key.</summary>
    public IReadOnlyDictionary<string, JsonElement> Callbacks { get => field ?? new SortedDictionary<string, JsonElement>(); init; }

    /// <summary>The other files of the checkpoint.</summary>
    public required IReadOnlyList<CheckpointFile> Files { get; init; }

    /// <summary>Returns the manifest as UTF-8 JSON.</summary>
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, ManifestJson.Default.CheckpointManifest);

    /// <summary>The description of the model, which is written to a separate file; <see langword="null"/> for none.</summary>
    [JsonIgnore]
    public string? Model { get; init; }

    /// <summary>Parses the JSON text.</summary>
    /// <exception cref="JsonException">The text is not in the format that <see cref="ToJson"/> writes.</exception>
    public static CheckpointManifest Parse(ReadOnlySpan<byte> json)
    {
        CheckpointManifest manifest;
        try
        {
            manifest = JsonSerializer.Deserialize(json, ManifestJson.Default.CheckpointManifest)
                ?? throw new JsonException("expected an object, got null");
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            // Text that is not Unicode, such as half of a surrogate pair, or a name that appears twice in a JsonObject.
            throw new JsonException(e.Message, e);
        }

        if (manifest.Format != FormatName || manifest.Version is < OldestVersion or > CurrentVersion)
            throw new JsonException(
                Invariant($"expected {FormatName} version {OldestVersion} to {CurrentVersion}, got {manifest.Format} version ")
                + Invariant($"{manifest.Version}"));
        manifest.Validate();
        return manifest;
    }

    /// <exception cref="JsonException">A value is <see langword="null"/> or out of range.</exception>
    private void Validate()
    {
        InRange("batch_size", BatchSize, 1, int.MaxValue);
        InRange("step", Step, 0, long.MaxValue / BatchSize);
        InRange("micro_batch_size", MicroBatchSize ?? 1, 1, int.MaxValue);
        InRange("dataset_count", DatasetCount ?? 1, 1, long.MaxValue);
        InRange("skipped_steps", SkippedSteps, 0, Step);
        InRange("skipped_in_a_row", SkippedInARow, 0, SkippedSteps);
        NotNull("files", Files);
        NotNull("sums", Sums.Values);
        NotNull("metrics", Metrics.Values);

        static void InRange(string name, long value, long min, long max)
        {
            if (value < min || value > max)
                throw new JsonException(string.Create(CultureInfo.InvariantCulture, $"'{name}' must be in [{min}, {max}], got {value}"));
        }

        static void NotNull(string name, IEnumerable<object?> values)
        {
            if (values.Contains(null))
                throw new JsonException($"'{name}' must not contain null");
        }
    }
}

/// <summary>One file of a checkpoint.</summary>
/// <param name="Name">The name of the file in the folder.</param>
/// <param name="Size">The length of the file in bytes.</param>
/// <param name="Sha256">The SHA-256 of the content of the file, in lower-case hexadecimal.</param>
internal sealed record CheckpointFile(string Name, long Size, string Sha256);

/// <summary>The partial sum of a mean.</summary>
/// <param name="Sum">The sum of the values since the last report.</param>
/// <param name="Count">The number of values.</param>
internal sealed record ReportSum(double Sum, double Count);

/// <summary>The JSON serializer of the manifest.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    AllowDuplicateProperties = false)]
[JsonSerializable(typeof(CheckpointManifest))]
internal sealed partial class ManifestJson : JsonSerializerContext;

/// <summary>One checkpoint of a run.</summary>
public sealed class CheckpointInfo
{
    private readonly Lazy<IReadOnlyDictionary<string, RecordedMetric>> _metrics;

    /// <summary>Initializes a new instance whose metrics are read from the manifest on first use.</summary>
    internal CheckpointInfo(string path, long step)
        : this(path, step, () => ReadMetrics(path))
    {
    }

    /// <summary>Initializes a new instance with a function that returns the metrics.</summary>
    internal CheckpointInfo(string path, long step, Func<IReadOnlyDictionary<string, RecordedMetric>> metrics)
    {
        (Path, Step) = (path, step);
        _metrics = new Lazy<IReadOnlyDictionary<string, RecordedMetric>>(metrics);
    }

    /// <summary>The folder of the checkpoint.</summary>
    public string Path { get; }

    /// <summary>The number of steps taken when the checkpoint was saved.</summary>
    public long Step { get; }

    /// <summary>
    /// The newest value of each metric when the checkpoint was saved; see <see cref="Trainer.RecordMetric"/>. Empty if the checkpoint is
    /// damaged.
    /// </summary>
    public IReadOnlyDictionary<string, RecordedMetric> Metrics => _metrics.Value;

    private static IReadOnlyDictionary<string, RecordedMetric> ReadMetrics(string path)
    {
        try
        {
            return CheckpointManifest.Parse(DiskFile.ReadBytes(System.IO.Path.Combine(path, Checkpoint.ManifestFile))).Metrics;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return new Dictionary<string, RecordedMetric>();
        }
    }
}
