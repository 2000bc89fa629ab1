namespace Diffusion.Core.Data;

/// <summary>
/// Points from the uniform distribution over the eight dark squares of a board of four by four unit squares on [-2, 2] x [-2, 2]. A square
/// is dark if the sum of its column and its row, counted from the lower left, is even.
/// </summary>
/// <param name="seed">The seed of all random numbers. The default is 0.</param>
/// <param name="count">The number of points. The default is 100,000.</param>
/// <exception cref="ArgumentOutOfRangeException">The number of points is less than 1.</exception>
public sealed class Checkerboard(long seed = 0, long count = 100_000) : PointDataset(seed, count)
{
    /// <inheritdoc/>
    public override (double X, double Y) Centre => (0.0, 0.0);

    /// <inheritdoc/>
    /// <remarks>Each coordinate is uniform on [-2, 2].</remarks>
    public override double Scale => Math.Sqrt(4.0 / 3.0);

    private protected override (double X, double Y) Draw(ref SplitMix64 random)
    {
        var column = random.Below(4);
        var row = (2 * random.Below(2)) + (column % 2);
        return (column - 2 + random.Uniform(), row - 2 + random.Uniform());
    }
}
