namespace Diffusion.Core;

/// <summary>
/// The exception that is thrown when the data of a step cannot be loaded. The inner exception is the cause.
/// </summary>
public sealed class BatchLoadException : Exception
{
    private const int Shown = 8;

    /// <summary>Initializes a new instance of the <see cref="BatchLoadException"/> class for a batch.</summary>
    /// <param name="step">The step of the batch: the number of steps before it, 0 for the first.</param>
    /// <param name="indices">The indices of the samples of the batch.</param>
    /// <param name="cause">The exception that the data set threw.</param>
    public BatchLoadException(long step, IReadOnlyList<long> indices, Exception cause)
        : base(Describe(step, Guard.NotNull(indices), Guard.NotNull(cause)), cause)
        => (Step, Indices, Index) = (step, indices, (cause as SampleException)?.Index);

    /// <summary>The step of the batch: the number of steps before it, 0 for the first.</summary>
    public long Step { get; }

    /// <summary>The indices of the samples of the batch.</summary>
    public IReadOnlyList<long> Indices { get; }

    /// <summary>
    /// The index of the sample that cannot be loaded, if the data set threw a <see cref="SampleException"/>; otherwise
    /// <see langword="null"/>.
    /// </summary>
    public long? Index { get; }

    private static string Describe(long step, IReadOnlyList<long> indices, Exception cause)
    {
        var sample = cause is SampleException { Index: var index } ? $"sample {index} of " : "";
        if (indices.Count == 0)
            return $"Step {step} failed to load its batch: {cause.Message}";
        var rest = indices.Count > Shown ? $", and {indices.Count - Shown} more" : "";
        return $"Step {step} failed to load {sample}its batch of samples {string.Join(", ", indices.Take(Shown))}{rest}: {cause.Message}";
    }
}

/// <summary>The exception that a data set throws when it cannot load one of its samples.</summary>
/// <param name="index">The index of the sample.</param>
/// <param name="message">The message, which describes the error.</param>
/// <param name="innerException">The cause; or <see langword="null"/>.</param>
public sealed class SampleException(long index, string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>The index of the sample.</summary>
    public long Index { get; } = index;
}
