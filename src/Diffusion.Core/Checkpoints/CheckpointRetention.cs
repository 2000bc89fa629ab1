namespace Diffusion.Core;

/// <summary>Determines which checkpoints of a run are kept after a new one is saved. The newest checkpoint is always kept.</summary>
public abstract class CheckpointRetention
{
    /// <summary>Returns the checkpoints to keep. All others are removed.</summary>
    /// <param name="checkpoints">All checkpoints of the run, oldest first. The last one is the new one.</param>
    public abstract IEnumerable<CheckpointInfo> Keep(IReadOnlyList<CheckpointInfo> checkpoints);

    /// <summary>Keeps all checkpoints.</summary>
    public static CheckpointRetention All { get; } = new Rule(checkpoints => checkpoints);

    /// <summary>Keeps the newest <paramref name="count"/> checkpoints.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The count is less than 1.</exception>
    public static CheckpointRetention Last(int count)
    {
        Guard.InRange(count, 1, int.MaxValue);
        return new Rule(checkpoints => checkpoints.TakeLast(count));
    }

    /// <summary>Keeps the checkpoints whose step is a multiple of <paramref name="steps"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number of steps is less than 1.</exception>
    public static CheckpointRetention Every(long steps)
    {
        Guard.InRange(steps, 1, long.MaxValue);
        return new Rule(checkpoints => checkpoints.Where(checkpoint => checkpoint.Step % steps == 0));
    }

    /// <summary>
    /// Keeps the <paramref name="count"/> best checkpoints by a metric of which lower values are better. The value of a checkpoint is the
    /// newest value of the metric when the checkpoint was saved. If several checkpoints have the same value, the oldest of them is the
    /// best, because it was saved closest to the measurement. NaN is the worst value. Checkpoints without a value are not kept.
    /// </summary>
    /// <param name="metric">
    /// The name of the metric: <c>loss</c> is the mean training loss of the last report; others are recorded by
    /// <see cref="TrainingRun.LogMetric"/> and <see cref="Trainer.RecordMetric"/>.
    /// </param>
    /// <param name="count">The number of checkpoints, at least 1. The default is 1.</param>
    /// <exception cref="ArgumentException">The name is empty, or the count is less than 1.</exception>
    public static CheckpointRetention Best(string metric, int count = 1) => Best(metric, count, sign: 1.0);

    /// <summary>Keeps the best checkpoints like <see cref="Best(string, int)"/>, by a metric of which higher values are better.</summary>
    /// <inheritdoc cref="Best(string, int)"/>
    public static CheckpointRetention Highest(string metric, int count = 1) => Best(metric, count, sign: -1.0);

    private static Rule Best(string metric, int count, double sign)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(metric);
        Guard.InRange(count, 1, int.MaxValue);
        double Badness(CheckpointInfo checkpoint)
            => checkpoint.Metrics.TryGetValue(metric, out var recorded) && !double.IsNaN(recorded.Value)
                ? sign * recorded.Value
                : double.PositiveInfinity;

        // OrderBy is stable: the oldest of equal checkpoints comes first.
        return new Rule(checkpoints => checkpoints.OrderBy(Badness).Take(count).Where(one => one.Metrics.ContainsKey(metric)));
    }

    /// <summary>Keeps the checkpoints that at least one of several retentions keeps.</summary>
    /// <exception cref="ArgumentException">No retention is given, or one is <see langword="null"/>.</exception>
    public static CheckpointRetention Any(params IReadOnlyList<CheckpointRetention> choices)
    {
        ArgumentNullException.ThrowIfNull(choices);
        if (choices.Count == 0 || choices.Contains(null!))
            throw new ArgumentException("There must be at least one choice, and none may be null.", nameof(choices));
        return new Rule(checkpoints => choices.SelectMany(choice => choice.Keep(checkpoints)).Distinct());
    }

    private sealed class Rule(Func<IReadOnlyList<CheckpointInfo>, IEnumerable<CheckpointInfo>> keep) : CheckpointRetention
    {
        public override IEnumerable<CheckpointInfo> Keep(IReadOnlyList<CheckpointInfo> checkpoints) => keep(checkpoints);
    }
}
