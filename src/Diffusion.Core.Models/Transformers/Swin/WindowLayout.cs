using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The partition of the tokens of a grid into windows: the token at each position of each window, and the pairs of tokens that may attend
/// to each other. Tokens, windows and positions are in row-major order. If a side is not a multiple of the window size, the grid is padded
/// on the right or at the bottom. A side with a single window is not shifted.
/// </summary>
/// <remarks>Source: Liu et al. 2021, section 3.2 and figure 4.</remarks>
internal sealed class WindowLayout
{
    private const int Filling = -1;

    private readonly Side _rows;
    private readonly Side _columns;

    /// <summary>Computes the windows of a grid.</summary>
    /// <param name="rows">The number of rows of tokens.</param>
    /// <param name="columns">The number of columns of tokens.</param>
    /// <param name="window">
    /// The side of a window, in tokens. If a side of the grid is shorter than a window, the window has the length of that side.
    /// </param>
    /// <param name="shifted">Whether the windows are shifted cyclically by half their size.</param>
    public WindowLayout(long rows, long columns, int window, bool shifted)
    {
        (_rows, _columns) = (new Side(rows, window, shifted), new Side(columns, window, shifted));
        Window = window;
        Windows = _rows.Windows * _columns.Windows;
        Tokens = _rows.Window * _columns.Window;
        Fills = _rows.Padded != rows || _columns.Padded != columns;
        Masks = Fills || _rows.Shift != 0 || _columns.Shift != 0;
    }

    /// <summary>The side of the window for which the table of relative positions is defined.</summary>
    public int Window { get; }

    /// <summary>The number of windows.</summary>
    public long Windows { get; }

    /// <summary>The number of positions in a window.</summary>
    public long Tokens { get; }

    /// <summary>Whether the grid is padded, so that some positions contain no token of the grid.</summary>
    public bool Fills { get; }

    /// <summary>Whether attention needs a mask: some positions of a window must not attend to each other.</summary>
    public bool Masks { get; }

    /// <summary>
    /// Returns the index of the token of the grid at each position, [windows * tokens]; for padding, the number of tokens of the grid.
    /// </summary>
    public long[] Places()
    {
        var places = new long[Windows * Tokens];
        for (var place = 0L; place < places.Length; place++)
        {
            var (y, x) = Origin(place);
            places[place] = y < _rows.Length && x < _columns.Length ? (y * _columns.Length) + x : _rows.Length * _columns.Length;
        }

        return places;
    }

    /// <summary>Returns the position of each token of the grid, [rows * columns]: the inverse of <see cref="Places"/>.</summary>
    public long[] Returns()
    {
        var returns = new long[_rows.Length * _columns.Length];
        var places = Places();
        for (var place = 0L; place < places.Length; place++)
        {
            if (places[place] < returns.Length)
                returns[places[place]] = place;
        }

        return returns;
    }

    /// <summary>
    /// Returns the additive attention mask, [windows, 1, tokens, tokens]: 0 if a position may attend to another, otherwise negative
    /// infinity.
    /// </summary>
    /// <remarks>
    /// Tokens that share a window only because of the cyclic shift must not attend to each other. Tokens of the grid must not attend to
    /// padding. Every position may attend to itself, so that the softmax is always defined.
    /// </remarks>
    public float[] Mask()
    {
        var mask = new float[Windows * Tokens * Tokens];
        for (var query = 0L; query < Windows * Tokens; query++)
        {
            var window = query / Tokens * Tokens;
            for (var key = 0L; key < Tokens; key++)
            {
                if (Region(query) != Region(window + key))
                    mask[(query * Tokens) + key] = float.NegativeInfinity;
            }
        }

        return mask;
    }

    /// <summary>Returns the row of the table of relative positions for each pair of query and key, [tokens * tokens].</summary>
    public long[] RelativePositions()
    {
        var span = (2L * Window) - 1;
        var positions = new long[Tokens * Tokens];
        for (var query = 0L; query < Tokens; query++)
        {
            for (var key = 0L; key < Tokens; key++)
            {
                var down = (query / _columns.Window) - (key / _columns.Window) + Window - 1;
                var across = (query % _columns.Window) - (key % _columns.Window) + Window - 1;
                positions[(query * Tokens) + key] = (down * span) + across;
            }
        }

        return positions;
    }

    /// <summary>Returns the coordinates, in the padded grid before the shift, of a position.</summary>
    private (long Y, long X) Origin(long place)
    {
        var (y, x) = Shifted(place);
        return ((y + _rows.Shift) % _rows.Padded, (x + _columns.Shift) % _columns.Padded);
    }

    private (long Y, long X) Shifted(long place)
    {
        var (window, token) = (place / Tokens, place % Tokens);
        return ((window / _columns.Windows * _rows.Window) + (token / _columns.Window),
            (window % _columns.Windows * _columns.Window) + (token % _columns.Window));
    }

    private int Region(long place)
    {
        var (y, x) = Origin(place);
        if (y >= _rows.Length || x >= _columns.Length)
            return Filling;
        var (shiftedY, shiftedX) = Shifted(place);
        return (_rows.Wraps(shiftedY) ? 2 : 0) + (_columns.Wraps(shiftedX) ? 1 : 0);
    }

    /// <summary>The partition of one side of the grid into windows.</summary>
    private readonly struct Side
    {
        public Side(long length, int window, bool shifted)
        {
            Length = length;
            Window = Math.Min(window, length);
            Windows = (length + Window - 1) / Window;
            Padded = Windows * Window;
            Shift = shifted && Windows > 1 ? Window / 2 : 0;
        }

        public long Length { get; }

        public long Window { get; }

        public long Windows { get; }

        public long Padded { get; }

        public long Shift { get; }

        public bool Wraps(long shifted) => shifted >= Padded - Shift;
    }
}

/// <summary>A cache of the tensors of the window layouts of a network.</summary>
/// <param name="window">The side of a window, in tokens.</param>
internal sealed class WindowTables(int window) : IDisposable
{
    private readonly TensorCache<Key> _tables = new();

    private enum Kind
    {
        Places,
        Returns,
        Mask,
        Positions,
    }

    /// <summary>The side of a window, in tokens.</summary>
    public int Window { get; } = window;

    /// <summary>Returns the tables for a grid, on the device of the given tokens. The cache owns the tensors.</summary>
    public (WindowLayout Layout, Tensor Places, Tensor Returns, Tensor Positions, Tensor? Mask) Of(
        long rows, long columns, bool shifted, Tensor tokens)
    {
        var layout = new WindowLayout(rows, columns, Window, shifted);
        Tensor Get(Kind kind, ScalarType type)
            => _tables.Get(new Key(rows, columns, shifted, kind), tokens.device, type, key => Make(layout, key.Kind));

        return (layout, Get(Kind.Places, ScalarType.Int64), Get(Kind.Returns, ScalarType.Int64), Get(Kind.Positions, ScalarType.Int64),
            layout.Masks ? Get(Kind.Mask, tokens.dtype) : null);
    }

    public void Dispose() => _tables.Dispose();

    private static Tensor Make(WindowLayout layout, Kind kind) => kind switch
    {
        Kind.Places => tensor(layout.Places()),
        Kind.Returns => tensor(layout.Returns()),
        Kind.Positions => tensor(layout.RelativePositions()),
        _ => tensor(layout.Mask(), [layout.Windows, 1, layout.Tokens, layout.Tokens]),
    };

    private readonly record struct Key(long Rows, long Columns, bool Shifted, Kind Kind);
}
