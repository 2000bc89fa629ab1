namespace Diffusion.Core;

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
