using System.Text.Json;

namespace Diffusion.Core;

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
