using Diffusion.Core.Data;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests.Support;

/// <summary>
/// How far two sets of points in the plane are from one distribution. Estimates of squares are unbiased, so they may be negative.
/// </summary>
/// <param name="Energy">The squared energy distance (Szekely and Rizzo 2013).</param>
/// <param name="Mmd">The squared maximum mean discrepancy (Gretton et al. 2012), Gaussian kernels of width .05, .2 and .8 added up.</param>
/// <param name="SlicedW2">The root of the mean of the squared 2-Wasserstein distance over 64 directions.</param>
internal sealed record PointMetrics(double Energy, double Mmd, double SlicedW2)
{
    private const int Directions = 64;

    private static readonly double[] Widths = [0.05, 0.2, 0.8];

    /// <summary>The metrics of two sets of one size.</summary>
    public static PointMetrics Of((double X, double Y)[] first, (double X, double Y)[] second)
    {
        var (between, within, other) = (Sums(first, second), Sums(first, first), Sums(second, second));
        var (pairs, distinct) = ((double)first.Length * first.Length, (double)first.Length * (first.Length - 1));

        // A point has distance 0 from itself, which adds nothing, and a kernel of 1, which is taken off.
        var same = Widths.Length * first.Length;
        return new PointMetrics(
            (2 * between.Distance / pairs) - ((within.Distance + other.Distance) / distinct),
            ((within.Kernel + other.Kernel - (2 * same)) / distinct) - (2 * between.Kernel / pairs),
            Math.Sqrt(Enumerable.Range(0, Directions).Average(k => SquaredW2(first, second, Math.PI * k / Directions))));
    }

    /// <summary>The mean over pairs of sets.</summary>
    public static PointMetrics Mean(IReadOnlyCollection<PointMetrics> all)
        => new(all.Average(m => m.Energy), all.Average(m => m.Mmd), all.Average(m => m.SlicedW2));

    /// <summary>[N, 2] as points.</summary>
    public static (double X, double Y)[] Points(Tensor samples)
    {
        var values = samples.data<float>().ToArray();
        return [.. Enumerable.Range(0, values.Length / 2).Select(i => ((double)values[2 * i], (double)values[(2 * i) + 1]))];
    }

    /// <summary>A set of the eight Gaussians of the library, scaled as it scales them.</summary>
    public static (double X, double Y)[] EightGaussians(long seed, int count, double deviation = 0.02)
    {
        using var batch = PointDataset.EightGaussians(seed, count, deviation).Load([.. Enumerable.Range(0, count).Select(i => (long)i)]);
        return Points(batch.Samples);
    }

    /// <summary>The standard deviation of the points about the nearest of the eight modes, of those within reach of one.</summary>
    public static double ModeDeviation((double X, double Y)[] points)
    {
        var radius = 2.0 / PointDataset.EightGaussians().Scale;
        var squares = points.Select(p => Enumerable.Range(0, 8).Min(k =>
        {
            var (sin, cos) = Math.SinCos(k * Math.PI / 4);
            return Math.Pow(p.X - (radius * cos), 2) + Math.Pow(p.Y - (radius * sin), 2);
        }));
        return Math.Sqrt(squares.Where(square => square < 0.09).Average() / 2);
    }

    private static (double Distance, double Kernel) Sums((double X, double Y)[] first, (double X, double Y)[] second)
    {
        var (distance, kernel) = (0.0, 0.0);
        foreach (var (ax, ay) in first)
        {
            foreach (var (bx, by) in second)
            {
                var square = ((ax - bx) * (ax - bx)) + ((ay - by) * (ay - by));
                distance += Math.Sqrt(square);
                foreach (var width in Widths)
                    kernel += Math.Exp(-square / (2 * width * width));
            }
        }

        return (distance, kernel);
    }

    private static double SquaredW2((double X, double Y)[] first, (double X, double Y)[] second, double angle)
    {
        var (sin, cos) = Math.SinCos(angle);
        var a = first.Select(p => (p.X * cos) + (p.Y * sin)).Order();
        var b = second.Select(p => (p.X * cos) + (p.Y * sin)).Order();
        return a.Zip(b, (u, v) => (u - v) * (u - v)).Average();
    }
}
