namespace Diffusion.Core.Data;

/// <summary>
/// A random change of a sample, made while batches are loaded. Implement it for a change of your own: a pure function of the sample and
/// the draws, called by several threads at once.
/// </summary>
public interface IAugmentation
{
    /// <summary>
    /// Whether pixels only change places. Then a <see cref="Models.Condition.Image"/> is changed with the sample, by the same draws.
    /// </summary>
    bool MovesPixels { get; }

    /// <summary>The shape of what comes out.</summary>
    /// <param name="shape">That of a sample that goes in, without the batch dimension: [C, H, W] for images.</param>
    /// <exception cref="ArgumentException">Samples of this shape cannot be changed so.</exception>
    IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape);

    /// <summary>Writes the changed sample.</summary>
    /// <param name="source">The sample, row by row.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="result">Where to write; as large as <see cref="OutputShape"/> says, and written whole.</param>
    /// <param name="random">
    /// Seeded with (seed of the run, epoch, index of the sample, place of this augmentation among others): take every draw from it.
    /// </param>
    void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random);
}
