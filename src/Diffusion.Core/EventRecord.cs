namespace Diffusion.Core;

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

    /// <summary>A callback stopped it; the details say why.</summary>
    public const string Stopped = "stopped";

    /// <summary>It was cancelled.</summary>
    public const string Cancelled = "cancelled";

    /// <summary>Too many steps in a row were not finite.</summary>
    public const string Diverged = "diverged";

    /// <summary>An exception ended it; the details name its type.</summary>
    public const string Failed = "failed";

    /// <summary>Which of these, or another of a later version.</summary>
    public required string Name { get; init; }

    /// <summary>What more there is to say, by name. Nothing here names a folder of the machine, or its user.</summary>
    public IReadOnlyDictionary<string, string> Details { get; init; } = new SortedDictionary<string, string>();
}
