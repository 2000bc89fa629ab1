namespace Diffusion.Core.Data;

/// <summary>Eight equal Gaussians on a circle of radius 2, at multiples of 45 degrees.</summary>
/// <param name="seed">The root of every draw.</param>
/// <param name="count">The number of points.</param>
/// <param name="deviation">The standard deviation of each Gaussian before scaling.</param>
/// <exception cref="ArgumentOutOfRangeException">No points, or a deviation that is negative or not finite.</exception>
public sealed class EightGaussians(long seed = 0, long count = 100_000, double deviation = 0.02) : PointDataset(seed, count)
{
    /// <summary>The distance of each mode from the middle, before scaling.</summary>
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
