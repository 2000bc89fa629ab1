namespace Diffusion.Core.Evaluation;

/// <summary>How a data set is evaluated.</summary>
public sealed record DatasetLikelihoodOptions
{
    /// <summary>
    /// Samples evaluated together: 64. With a network and a method that treat samples apart, it does not change the result.
    /// </summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>The first samples of the data set to evaluate; null for all.</summary>
    public long? MaxSamples { get; init; }

    /// <summary>The root of every random draw: 0. The draws of a sample depend on it and on its index.</summary>
    public long Seed { get; init; }
}
