using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Data;

/// <summary>
/// Points in the plane from a known distribution, such as <c>PointDataset.TwoMoons()</c>, normalised to mean 0 and a mean variance of 1: a raw point p becomes
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

    /// <summary>
    /// Points from the uniform distribution over the eight dark squares of a board of four by four unit squares on [-2, 2] x [-2, 2]. A square
    /// is dark if the sum of its column and its row, counted from the lower left, is even.
    /// </summary>
    /// <param name="seed">The seed of all random numbers. The default is 0.</param>
    /// <param name="count">The number of points. The default is 100,000.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number of points is less than 1.</exception>
    public static PointDataset Checkerboard(long seed = 0, long count = 100_000) => new CheckerboardPoints(seed, count);

    /// <summary>Points from eight Gaussians of equal weight, whose means are on a circle of radius 2, at multiples of 45 degrees.</summary>
    /// <param name="seed">The seed of all random numbers. The default is 0.</param>
    /// <param name="count">The number of points. The default is 100,000.</param>
    /// <param name="deviation">The standard deviation of each Gaussian, before scaling. The default is 0.02.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// The number of points is less than 1, or the standard deviation is negative or not finite.
    /// </exception>
    public static PointDataset EightGaussians(long seed = 0, long count = 100_000, double deviation = 0.02) => new EightGaussiansPoints(seed, count, deviation);

    /// <summary>
    /// Points on a spiral, the two curled axes of scikit-learn's <c>make_swiss_roll</c>: (a cos a, a sin a), with a uniform in
    /// [3 pi / 2, 9 pi / 2], and Gaussian noise.
    /// </summary>
    /// <param name="seed">The seed of all random numbers. The default is 0.</param>
    /// <param name="count">The number of points. The default is 100,000.</param>
    /// <param name="noise">The standard deviation of the noise, before scaling. The windings are 2 pi apart. The default is 0.5.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number of points is less than 1, or the noise is negative or not finite.</exception>
    public static PointDataset SwissRoll(long seed = 0, long count = 100_000, double noise = 0.5) => new SwissRollPoints(seed, count, noise);

    /// <summary>
    /// Points on two interleaved half circles, as in scikit-learn's <c>make_moons</c>: (cos a, sin a) or (1 - cos a, 1/2 - sin a) with equal
    /// probability, with a uniform in [0, pi], and Gaussian noise.
    /// </summary>
    /// <param name="seed">The seed of all random numbers. The default is 0.</param>
    /// <param name="count">The number of points. The default is 100,000.</param>
    /// <param name="noise">The standard deviation of the noise, before scaling. The default is 0.05.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number of points is less than 1, or the noise is negative or not finite.</exception>
    public static PointDataset TwoMoons(long seed = 0, long count = 100_000, double noise = 0.05) => new TwoMoonsPoints(seed, count, noise);

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

    private sealed class CheckerboardPoints(long seed, long count) : PointDataset(seed, count)
    {
        public override (double X, double Y) Centre => (0.0, 0.0);

        // Each coordinate is uniform on [-2, 2].
        public override double Scale => Math.Sqrt(4.0 / 3.0);

        private protected override (double X, double Y) Draw(ref SplitMix64 random)
        {
            var column = random.Below(4);
            var row = (2 * random.Below(2)) + (column % 2);
            return (column - 2 + random.Uniform(), row - 2 + random.Uniform());
        }
    }

    private sealed class EightGaussiansPoints(long seed, long count, double deviation) : PointDataset(seed, count)
    {
        private const double Radius = 2.0;

        private readonly double _deviation = Guard.InRange(deviation, 0.0, double.MaxValue);

        public override (double X, double Y) Centre => (0.0, 0.0);

        public override double Scale => Math.Sqrt((_deviation * _deviation) + (Radius * Radius / 2.0));

        private protected override (double X, double Y) Draw(ref SplitMix64 random)
        {
            var (sin, cos) = Math.SinCos(random.Below(8) * Math.PI / 4.0);
            var (x, y) = random.Normals();
            return ((Radius * cos) + (_deviation * x), (Radius * sin) + (_deviation * y));
        }
    }

    private sealed class SwissRollPoints(long seed, long count, double noise) : PointDataset(seed, count)
    {
        private readonly double _noise = Guard.InRange(noise, 0.0, double.MaxValue);

        public override (double X, double Y) Centre => (2.0, 2.0 / (3.0 * Math.PI));

        // The mean squared distance from the origin is E[a^2] = 39/4 pi^2, plus twice the variance of the noise.
        public override double Scale
        {
            get
            {
                var (x, y) = Centre;
                return Math.Sqrt((((39.0 / 4.0 * Math.PI * Math.PI) - (x * x) - (y * y)) / 2.0) + (_noise * _noise));
            }
        }

        private protected override (double X, double Y) Draw(ref SplitMix64 random)
        {
            var angle = Math.PI * random.Uniform(1.5, 4.5);
            var (sin, cos) = Math.SinCos(angle);
            var (x, y) = random.Normals();
            return ((angle * cos) + (_noise * x), (angle * sin) + (_noise * y));
        }
    }

    private sealed class TwoMoonsPoints(long seed, long count, double noise) : PointDataset(seed, count)
    {
        private readonly double _noise = Guard.InRange(noise, 0.0, double.MaxValue);

        public override (double X, double Y) Centre => (0.5, 0.25);

        // The variances of the coordinates are 3/4 and 9/16 - 1/pi, plus the variance of the noise.
        public override double Scale => Math.Sqrt((((3.0 / 4.0) + (9.0 / 16.0) - (1.0 / Math.PI)) / 2.0) + (_noise * _noise));

        private protected override (double X, double Y) Draw(ref SplitMix64 random)
        {
            var inner = random.Below(2) == 1;
            var (sin, cos) = Math.SinCos(Math.PI * random.Uniform());
            var (x, y) = random.Normals();
            return inner
                ? (1.0 - cos + (_noise * x), 0.5 - sin + (_noise * y))
                : (cos + (_noise * x), sin + (_noise * y));
        }
    }
}
