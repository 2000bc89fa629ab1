namespace Diffusion.Core;

/// <summary>The data of a step could not be loaded. The cause is the inner exception.</summary>
public sealed class BatchLoadException : Exception
{
    private const int Shown = 8;

    /// <summary>A batch that a data set did not give.</summary>
    /// <param name="step">The step that needs it: the number of steps before it.</param>
    /// <param name="indices">The samples of the batch.</param>
    /// <param name="cause">What the data set threw.</param>
    public BatchLoadException(long step, IReadOnlyList<long> indices, Exception cause)
        : base(Describe(step, Guard.NotNull(indices), Guard.NotNull(cause)), cause)
        => (Step, Indices, Index) = (step, indices, (cause as SampleException)?.Index);

    /// <summary>The step that needs the batch: the number of steps before it, 0 for the first.</summary>
    public long Step { get; }

    /// <summary>The samples of the batch.</summary>
    public IReadOnlyList<long> Indices { get; }

    /// <summary>The sample that could not be loaded, where the data set says which (<see cref="SampleException"/>).</summary>
    public long? Index { get; }

    private static string Describe(long step, IReadOnlyList<long> indices, Exception cause)
    {
        var sample = cause is SampleException { Index: var index } ? $"sample {index} of " : "";
        var rest = indices.Count > Shown ? $", and {indices.Count - Shown} more" : "";
        return $"Step {step} failed to load {sample}its batch of samples {string.Join(", ", indices.Take(Shown))}{rest}: {cause.Message}";
    }
}

/// <summary>A data set cannot give one of its samples.</summary>
/// <param name="index">The index of the sample.</param>
/// <param name="message">What is wrong with it.</param>
/// <param name="innerException">Why, where another exception says so.</param>
public sealed class SampleException(long index, string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>The index of the sample.</summary>
    public long Index { get; } = index;
}
