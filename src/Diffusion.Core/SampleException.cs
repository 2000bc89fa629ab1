namespace Diffusion.Core;

/// <summary>A data set cannot give one of its samples.</summary>
/// <param name="index">The index of the sample.</param>
/// <param name="message">What is wrong with it.</param>
/// <param name="innerException">Why, where another exception says so.</param>
public sealed class SampleException(long index, string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>The index of the sample.</summary>
    public long Index { get; } = index;
}
