using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Data;

/// <summary>
/// Points in the plane from a known distribution, normalised to mean 0 and a mean variance of 1: a raw point p becomes
/// (p - centre) / scale. The centre and the scale are those of the distribution, and do not depend on the points of the set. The point of
/// an index is a function of (seed, index); points are not stored.
/// </summary>
public abstract class PointDataset : IBufferedDataset
{
    private readonly long _seed;

    private protected PointDataset(long seed, long count)
    {
        Guard.InRange(count, 1, long.MaxValue);
        (_seed, Count) = (seed, count);
    }

    /// <inheritdoc/>
    public long Count { get; }

    /// <inheritdoc/>
    public IReadOnlyList<long> SampleShape { get; } = [2];

    /// <inheritdoc/>
    public DataRange? DataRange => Models.DataRange.Unbounded;

    /// <inheritdoc/>
    public LoadThreading Threading => LoadThreading.Concurrent;

    /// <inheritdoc/>
    public bool HasLabels => false;

    /// <summary>The mean of the raw distribution.</summary>
    public abstract (double X, double Y) Centre { get; }

    /// <summary>The square root of the variance of the raw distribution, averaged over both axes.</summary>
    public abstract double Scale { get; }

    /// <inheritdoc/>
    /// <returns>[B, 2] float32, without labels. The caller must dispose the batch.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An index is not in 0..<see cref="Count"/>-1.</exception>
    /// <exception cref="ArgumentException"><paramref name="indices"/> is empty.</exception>
    public Batch Load(ReadOnlySpan<long> indices) => ((IDataset)this).Load(indices, default);

    /// <inheritdoc/>
    public void Fill(ReadOnlySpan<long> indices, LoadContext context, Span<float> samples, Span<long> labels)
    {
        Batches.CheckFill(this, indices, samples, labels);
        var (centre, scale) = (Centre, Scale);
        for (var i = 0; i < indices.Length; i++)
        {
            var random = new SplitMix64(SeedSequence.Mix(_seed, indices[i]));
            var (x, y) = Draw(ref random);
            samples[2 * i] = (float)((x - centre.X) / scale);
            samples[(2 * i) + 1] = (float)((y - centre.Y) / scale);
        }
    }

    /// <summary>Draws a raw point.</summary>
    private protected abstract (double X, double Y) Draw(ref SplitMix64 random);
}
