namespace Diffusion.Core.Data;

/// <summary>
/// Points on a spiral, the two curled axes of scikit-learn's <c>make_swiss_roll</c>: (a cos a, a sin a), with a uniform in
/// [3 pi / 2, 9 pi / 2], and Gaussian noise.
/// </summary>
/// <param name="seed">The seed of all random numbers. The default is 0.</param>
/// <param name="count">The number of points. The default is 100,000.</param>
/// <param name="noise">The standard deviation of the noise, before scaling. The windings are 2 pi apart. The default is 0.5.</param>
/// <exception cref="ArgumentOutOfRangeException">The number of points is less than 1, or the noise is negative or not finite.</exception>
public sealed class SwissRoll(long seed = 0, long count = 100_000, double noise = 0.5) : PointDataset(seed, count)
{
    private readonly double _noise = Guard.InRange(noise, 0.0, double.MaxValue);

    /// <inheritdoc/>
    public override (double X, double Y) Centre => (2.0, 2.0 / (3.0 * Math.PI));

    /// <inheritdoc/>
    /// <remarks>The mean squared distance from the origin is E[a^2] = 39/4 pi^2, plus twice the variance of the noise.</remarks>
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
