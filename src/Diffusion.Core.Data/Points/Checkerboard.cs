namespace Diffusion.Core.Data;

/// <summary>
/// Uniform over the eight dark squares of a board of four by four unit squares on [-2, 2] x [-2, 2]: those where the column and the row,
/// counted from the lower left, have an even sum.
/// </summary>
/// <param name="seed">The root of every draw.</param>
/// <param name="count">The number of points.</param>
/// <exception cref="ArgumentOutOfRangeException">No points.</exception>
public sealed class Checkerboard(long seed = 0, long count = 100_000) : PointDataset(seed, count)
{
    /// <inheritdoc/>
    public override (double X, double Y) Centre => (0.0, 0.0);

    /// <inheritdoc/>
    /// <remarks>Each axis alone is uniform on [-2, 2].</remarks>
    public override double Scale => Math.Sqrt(4.0 / 3.0);

    private protected override (double X, double Y) Draw(ref SplitMix64 random)
    {
        var column = random.Below(4);
        var row = (2 * random.Below(2)) + (column % 2);
        return (column - 2 + random.Uniform(), row - 2 + random.Uniform());
    }
}
