namespace Diffusion.Core;

/// <summary>Which checkpoints of a run are kept when another has been saved. The newest always is.</summary>
public abstract class CheckpointRetention
{
    /// <summary>Those to keep; all others are removed.</summary>
    /// <param name="checkpoints">All that are there, oldest first, the new one last.</param>
    public abstract IEnumerable<CheckpointInfo> Keep(IReadOnlyList<CheckpointInfo> checkpoints);

    /// <summary>Every one.</summary>
    public static CheckpointRetention All { get; } = new Rule(checkpoints => checkpoints);

    /// <summary>The newest <paramref name="count"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The count is less than 1.</exception>
    public static CheckpointRetention Last(int count)
    {
        Guard.InRange(count, 1, int.MaxValue);
        return new Rule(checkpoints => checkpoints.TakeLast(count));
    }

    /// <summary>Those whose step is a multiple of <paramref name="steps"/>, for good.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number of steps is less than 1.</exception>
    public static CheckpointRetention Every(long steps)
    {
        Guard.InRange(steps, 1, long.MaxValue);
        return new Rule(checkpoints => checkpoints.Where(checkpoint => checkpoint.Step % steps == 0));
    }

    /// <summary>
    /// The <paramref name="count"/> best by a metric. A checkpoint has the newest value that was known when it was saved; where several
    /// have the same one, the first of them was the nearest to it, and is the better. Those without a value are the worst.
    /// </summary>
    /// <param name="metric">
    /// Its name: <c>loss</c> is the mean training loss of the last report; others come from <see cref="TrainingRun.LogMetric"/> and
    /// <see cref="Trainer.RecordMetric"/>.
    /// </param>
    /// <param name="count">How many, at least 1.</param>
    /// <param name="higherIsBetter">False for losses and distances.</param>
    /// <exception cref="ArgumentException">The name is empty, or the count less than 1.</exception>
    public static CheckpointRetention Best(string metric, int count = 1, bool higherIsBetter = false)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(metric);
        Guard.InRange(count, 1, int.MaxValue);
        double Badness(CheckpointInfo checkpoint)
            => checkpoint.Metrics.TryGetValue(metric, out var recorded) && !double.IsNaN(recorded.Value)
                ? (higherIsBetter ? -recorded.Value : recorded.Value)
                : double.PositiveInfinity;

        // The order is stable: of equals the oldest comes first.
        return new Rule(checkpoints => checkpoints.OrderBy(Badness).Take(count).Where(one => one.Metrics.ContainsKey(metric)));
    }

    /// <summary>Those that any of several choices keeps.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static CheckpointRetention Any(params IReadOnlyList<CheckpointRetention> choices)
    {
        ArgumentNullException.ThrowIfNull(choices);
        if (choices.Count == 0 || choices.Contains(null!))
            throw new ArgumentException("There must be at least one choice, and none of them null.", nameof(choices));
        return new Rule(checkpoints => choices.SelectMany(choice => choice.Keep(checkpoints)).Distinct());
    }

    private sealed class Rule(Func<IReadOnlyList<CheckpointInfo>, IEnumerable<CheckpointInfo>> keep) : CheckpointRetention
    {
        public override IEnumerable<CheckpointInfo> Keep(IReadOnlyList<CheckpointInfo> checkpoints) => keep(checkpoints);
    }
}
