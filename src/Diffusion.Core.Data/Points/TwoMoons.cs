namespace Diffusion.Core.Data;

/// <summary>
/// Points on two interleaved half circles, as in scikit-learn's <c>make_moons</c>: (cos a, sin a) or (1 - cos a, 1/2 - sin a) with equal
/// probability, with a uniform in [0, pi], and Gaussian noise.
/// </summary>
/// <param name="seed">The seed of all random numbers. The default is 0.</param>
/// <param name="count">The number of points. The default is 100,000.</param>
/// <param name="noise">The standard deviation of the noise, before scaling. The default is 0.05.</param>
/// <exception cref="ArgumentOutOfRangeException">The number of points is less than 1, or the noise is negative or not finite.</exception>
public sealed class TwoMoons(long seed = 0, long count = 100_000, double noise = 0.05) : PointDataset(seed, count)
{
    private readonly double _noise = Guard.InRange(noise, 0.0, double.MaxValue);

    /// <inheritdoc/>
    public override (double X, double Y) Centre => (0.5, 0.25);

    /// <inheritdoc/>
    /// <remarks>The variances of the coordinates are 3/4 and 9/16 - 1/pi, plus the variance of the noise.</remarks>
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
