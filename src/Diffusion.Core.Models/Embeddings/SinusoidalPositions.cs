using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Encodes the position of a patch as sines and cosines: half of the width encodes the column, the other half the row, each with
/// frequencies <c>10000^(-i / (D/4))</c>. It has no parameters.
/// </summary>
/// <remarks>
/// Source: Peebles and Xie 2023, section 3.2, after Vaswani et al. 2017, section 3.5. A grid of another size than the one given to the
/// constructor is scaled to the same range of coordinates.
/// </remarks>
internal sealed class SinusoidalPositions : NamedModule<Tensor, Tensor>
{
    private const double MaxPeriod = 10_000;

    private readonly TensorCache<(long Rows, long Columns)> _tables = new();
    private readonly int _width;
    private readonly int _side;

    /// <summary>Creates positions for tokens of a given width.</summary>
    /// <param name="width">D, a multiple of 4.</param>
    /// <param name="side">The number of patches on a side of the images that the network is designed for.</param>
    /// <exception cref="ArgumentException">The width is not a positive multiple of 4, or the side is not positive.</exception>
    public SinusoidalPositions(int width, int side)
        : base(nameof(SinusoidalPositions))
    {
        if (width < 4 || width % 4 != 0)
            throw new ArgumentException(
                Invariant($"The width of sinusoidal positions must be a multiple of 4, got {width}."), nameof(width));
        (_width, _side) = (width, Guard.Positive(side));
    }

    /// <summary>Adds the positions to tokens of a square grid.</summary>
    /// <param name="input">[B, side * side, D].</param>
    /// <returns>[B, side * side, D]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape does not match.</exception>
    public override Tensor forward(Tensor input) => forward(input, _side, _side);

    /// <summary>Adds the positions to tokens.</summary>
    /// <param name="input">[B, rows * columns, D].</param>
    /// <param name="rows">The number of rows of patches.</param>
    /// <param name="columns">The number of columns of patches.</param>
    /// <returns>[B, rows * columns, D]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape does not match.</exception>
    public Tensor forward(Tensor input, long rows, long columns)
    {
        Guard.Shape(input, [-1, rows * columns, _width]);
        return input.Add(_tables.Get((rows, columns), input.device, input.dtype, Table));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _tables.Dispose();
        base.Dispose(disposing);
    }

    private Tensor Table((long Rows, long Columns) grid)
    {
        var quarter = _width / 4;
        var values = new double[grid.Rows * grid.Columns * _width];
        for (var token = 0L; token < grid.Rows * grid.Columns; token++)
        {
            var x = token % grid.Columns * ((double)_side / grid.Columns);
            var y = token / grid.Columns * ((double)_side / grid.Rows);
            var place = values.AsSpan((int)(token * _width), _width);
            for (var i = 0; i < quarter; i++)
            {
                var frequency = Math.Pow(MaxPeriod, -(double)i / quarter);
                (place[i], place[quarter + i]) = Math.SinCos(x * frequency);
                (place[(2 * quarter) + i], place[(3 * quarter) + i]) = Math.SinCos(y * frequency);
            }
        }

        using var flat = tensor(values);
        return flat.view(grid.Rows * grid.Columns, _width);
    }
}
