namespace Diffusion.Core.Data;

/// <summary>Points from eight Gaussians of equal weight, whose means are on a circle of radius 2, at multiples of 45 degrees.</summary>
/// <param name="seed">The seed of all random numbers. The default is 0.</param>
/// <param name="count">The number of points. The default is 100,000.</param>
/// <param name="deviation">The standard deviation of each Gaussian, before scaling. The default is 0.02.</param>
/// <exception cref="ArgumentOutOfRangeException">
/// The number of points is less than 1, or the standard deviation is negative or not finite.
/// </exception>
public sealed class EightGaussians(long seed = 0, long count = 100_000, double deviation = 0.02) : PointDataset(seed, count)
{
    /// <summary>The distance of the mean of each Gaussian from the origin, before scaling.</summary>
    public const double Radius = 2.0;

    private readonly double _deviation = Guard.InRange(deviation, 0.0, double.MaxValue);

    /// <inheritdoc/>
    public override (double X, double Y) Centre => (0.0, 0.0);

    /// <inheritdoc/>
    public override double Scale => Math.Sqrt((_deviation * _deviation) + (Radius * Radius / 2.0));

    private protected override (double X, double Y) Draw(ref SplitMix64 random)
    {
        var (sin, cos) = Math.SinCos(random.Below(8) * Math.PI / 4.0);
        var (x, y) = random.Normals();
        return ((Radius * cos) + (_deviation * x), (Radius * sin) + (_deviation * y));
    }
}
