using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Diffusion.Core;

/// <summary>What trainer.json says: where the run is, what it was made with, and the files beside it.</summary>
internal sealed record CheckpointManifest
{
    /// <summary>The value of <see cref="Format"/>.</summary>
    public const string FormatName = "diffusion-core-trainer";

    /// <summary>The value of <see cref="Version"/> that this code writes. It reads 1 too, which lacks what is optional below.</summary>
    public const int CurrentVersion = 2;

    private const int OldestVersion = 1;

    /// <summary>What kind of file this is.</summary>
    public required string Format { get; init; }

    /// <summary>Which version of that kind.</summary>
    public required int Version { get; init; }

    /// <summary>Steps done.</summary>
    public required long Step { get; init; }

    /// <summary>The seed, which with the step is the state of every random draw and the position in the data.</summary>
    public required long Seed { get; init; }

    /// <summary>Samples in each step.</summary>
    public required int BatchSize { get; init; }

    /// <summary>Samples that pass through the network at once; null for whole batches.</summary>
    public int? MicroBatchSize { get; init; }

    /// <summary>Samples in the data set, or null where batches came from outside.</summary>
    public required long? DatasetCount { get; init; }

    /// <summary>Steps skipped so far.</summary>
    public required long SkippedSteps { get; init; }

    /// <summary>Steps skipped since the last that was not.</summary>
    public required long SkippedInARow { get; init; }

    /// <summary>What the noise schedule is; null for a trainer without one.</summary>
    public required ScheduleFingerprint? Schedule { get; init; }

    /// <summary>What else has to be the same for the run to go on; null in version 1.</summary>
    public JsonObject? MadeWith { get; init; }

    /// <summary>What the next report is made of so far, by name; the loss under the empty one.</summary>
    public SortedDictionary<string, ReportSum> Sums { get => field ?? []; init; }

    /// <summary>The newest value of each metric.</summary>
    public IReadOnlyDictionary<string, RecordedMetric> Metrics { get => field ?? new SortedDictionary<string, RecordedMetric>(); init; }

    /// <summary>What each callback wants to find again.</summary>
    public IReadOnlyDictionary<string, JsonElement> Callbacks { get => field ?? new SortedDictionary<string, JsonElement>(); init; }

    /// <summary>The other files, each whole.</summary>
    public required IReadOnlyList<CheckpointFile> Files { get; init; }

    /// <summary>The JSON text.</summary>
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, ManifestJson.Default.CheckpointManifest);

    /// <summary>The description of the model, which is written to a file of its own; <see langword="null"/> for none.</summary>
    [JsonIgnore]
    public string? Model { get; init; }

    /// <summary>Parses the JSON text.</summary>
    /// <exception cref="JsonException">It is not what <see cref="ToJson"/> writes.</exception>
    public static CheckpointManifest Parse(ReadOnlySpan<byte> json)
    {
        var manifest = JsonSerializer.Deserialize(json, ManifestJson.Default.CheckpointManifest)
            ?? throw new JsonException("expected an object, got null");
        if (manifest.Format != FormatName || manifest.Version is < OldestVersion or > CurrentVersion)
            throw new JsonException(
                $"expected {FormatName} version {OldestVersion} to {CurrentVersion}, got {manifest.Format} version {manifest.Version}");
        return manifest;
    }
}

/// <summary>One file of a checkpoint.</summary>
/// <param name="Name">Its name in the folder.</param>
/// <param name="Size">Its length in bytes.</param>
/// <param name="Sha256">The SHA-256 of its contents, in lower-case hexadecimal.</param>
internal sealed record CheckpointFile(string Name, long Size, string Sha256);

/// <summary>A mean in the making.</summary>
/// <param name="Sum">Of the values since the last report.</param>
/// <param name="Count">How many they are.</param>
internal sealed record ReportSum(double Sum, double Count);

/// <summary>How the manifest is written.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(CheckpointManifest))]
internal sealed partial class ManifestJson : JsonSerializerContext;

/// <summary>One checkpoint of a run, as a retention sees it.</summary>
public sealed class CheckpointInfo
{
    private readonly Lazy<IReadOnlyDictionary<string, RecordedMetric>> _metrics;

    /// <summary>A checkpoint whose metrics are read when they are asked for.</summary>
    internal CheckpointInfo(string path, long step)
        : this(path, step, () => ReadMetrics(path))
    {
    }

    /// <summary>A checkpoint with these metrics.</summary>
    internal CheckpointInfo(string path, long step, Func<IReadOnlyDictionary<string, RecordedMetric>> metrics)
    {
        (Path, Step) = (path, step);
        _metrics = new Lazy<IReadOnlyDictionary<string, RecordedMetric>>(metrics);
    }

    /// <summary>Its folder.</summary>
    public string Path { get; }

    /// <summary>Steps done when it was saved.</summary>
    public long Step { get; }

    /// <summary>
    /// The newest value of each metric when it was saved; see <see cref="Trainer.RecordMetric"/>. None where the checkpoint is damaged.
    /// </summary>
    public IReadOnlyDictionary<string, RecordedMetric> Metrics => _metrics.Value;

    private static IReadOnlyDictionary<string, RecordedMetric> ReadMetrics(string path)
    {
        try
        {
            return CheckpointManifest.Parse(File.ReadAllBytes(System.IO.Path.Combine(path, Checkpoint.ManifestFile))).Metrics;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return new Dictionary<string, RecordedMetric>();
        }
    }
}
