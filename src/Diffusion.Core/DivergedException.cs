namespace Diffusion.Core;

/// <summary>
/// A run was stopped because too many steps in a row had a loss or gradient that is not finite. The weights are those of the last
/// finite step.
/// </summary>
public sealed class DivergedException : Exception
{
    /// <summary>A run that diverged.</summary>
    public DivergedException()
    {
    }

    /// <summary>A run that diverged.</summary>
    public DivergedException(string message)
        : base(message)
    {
    }

    /// <summary>A run that diverged, with what caused it.</summary>
    public DivergedException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>The steps skipped in a row and the samples of their batches, the first step first; at most a thousand.</summary>
    public IReadOnlyList<SkippedStep> Steps { get; init; } = [];

    /// <summary>The file that says the same, <c>diverged.json</c> in the folder of the run; null where there is no folder.</summary>
    public string? File { get; init; }
}
