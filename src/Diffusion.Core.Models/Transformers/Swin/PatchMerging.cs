using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Merges each group of 2x2 neighboring tokens into one token of twice the width. State: <c>norm</c>, <c>reduction</c>.</summary>
/// <remarks>Source: Liu et al. 2021, section 3.1.</remarks>
internal sealed class PatchMerging : NamedModule
{
    private readonly int _width;
    private readonly LayerNormalization _norm;
    private readonly Linear _reduction;

    /// <summary>Creates a merging layer for tokens of a given width.</summary>
    /// <param name="width">The width of the input tokens.</param>
    /// <exception cref="ArgumentOutOfRangeException">The width is not positive.</exception>
    public PatchMerging(int width)
        : base(nameof(PatchMerging))
    {
        _width = Guard.Positive(width);
        register_module("norm", _norm = new LayerNormalization(Layers.Size(4, width)));
        register_module("reduction", _reduction = Layers.Linear(4L * width, 2L * width, hasBias: false));
        InitialWeights.Normal(_reduction);
    }

    /// <summary>Merges each group of 2x2 neighboring tokens into one token.</summary>
    /// <param name="tokens">[B, rows * columns, width], in row-major order.</param>
    /// <param name="rows">The number of rows of tokens, which must be even.</param>
    /// <param name="columns">The number of columns of tokens, which must be even.</param>
    /// <returns>[B, rows/2 * columns/2, 2 width]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The number of rows or columns is odd, or the shape does not match.</exception>
    public Tensor forward(Tensor tokens, long rows, long columns)
    {
        if (rows % 2 != 0 || columns % 2 != 0)
            throw new ArgumentException(Invariant($"Patch merging needs even sides, got {rows} by {columns} tokens."), nameof(rows));
        Guard.Shape(tokens, [-1, Guard.Positive(rows) * Guard.Positive(columns), _width]);
        using var scope = NewDisposeScope();
        var batch = tokens.shape[0];
        var joined = tokens.view(batch, rows / 2, 2, columns / 2, 2, _width)
            .permute(0, 1, 3, 4, 2, 5)
            .reshape(batch, rows * columns / 4, 4 * _width);
        return _reduction.call(_norm.call(joined)).MoveToOuterDisposeScope();
    }
}

/// <summary>Expands each token to 2x2 tokens of half the width. State: <c>expansion</c>, <c>norm</c>.</summary>
/// <remarks>Source: Cao et al. 2021, section 3.4.</remarks>
internal sealed class PatchExpanding : NamedModule
{
    private readonly int _width;
    private readonly Linear _expansion;
    private readonly LayerNormalization _norm;

    /// <summary>Creates an expanding layer for tokens of a given width.</summary>
    /// <param name="width">The width of the input tokens, an even number.</param>
    /// <exception cref="ArgumentException">The width is not a positive even number.</exception>
    public PatchExpanding(int width)
        : base(nameof(PatchExpanding))
    {
        if (width < 2 || width % 2 != 0)
            throw new ArgumentException(Invariant($"Patch expanding needs an even width of at least 2, got {width}."), nameof(width));
        _width = width;
        register_module("expansion", _expansion = Layers.Linear(width, 2L * width, hasBias: false));
        register_module("norm", _norm = new LayerNormalization(width / 2));
        InitialWeights.Normal(_expansion);
    }

    /// <summary>Expands each token to 2x2 tokens.</summary>
    /// <param name="tokens">[B, rows * columns, width], in row-major order.</param>
    /// <param name="rows">The number of rows of tokens.</param>
    /// <param name="columns">The number of columns of tokens.</param>
    /// <returns>[B, 2 rows * 2 columns, width/2]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape does not match.</exception>
    public Tensor forward(Tensor tokens, long rows, long columns)
    {
        Guard.Shape(tokens, [-1, Guard.Positive(rows) * Guard.Positive(columns), _width]);
        using var scope = NewDisposeScope();
        var (batch, half) = (tokens.shape[0], _width / 2);
        var spread = _expansion.call(tokens).view(batch, rows, columns, 2, 2, half)
            .permute(0, 1, 3, 2, 4, 5)
            .reshape(batch, 4 * rows * columns, half);
        return _norm.call(spread).MoveToOuterDisposeScope();
    }
}
