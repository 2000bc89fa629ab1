using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The layouts of windows that a network has met, as tensors.</summary>
/// <param name="window">The side of a window in tokens.</param>
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

    /// <summary>The side of a window in tokens.</summary>
    public int Window { get; } = window;

    /// <summary>The tables of a grid, for tokens like the given ones; they stay the cache's.</summary>
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
