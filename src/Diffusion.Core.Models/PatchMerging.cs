using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Joins the tokens of every 2x2 neighbours to one of twice the width. State: <c>norm</c>, <c>reduction</c>.</summary>
/// <remarks>Source: Liu et al. 2021, section 3.1.</remarks>
public sealed class PatchMerging : nn.Module
{
    private readonly int _width;
    private readonly LayerNormalization _norm;
    private readonly Linear _reduction;

    /// <summary>Merging of tokens of a width.</summary>
    /// <param name="width">The width of the tokens that come in.</param>
    /// <exception cref="ArgumentOutOfRangeException">The width is not positive.</exception>
    public PatchMerging(int width)
        : base(nameof(PatchMerging))
    {
        _width = Guard.Positive(width);
        register_module("norm", _norm = new LayerNormalization(4 * width));
        register_module("reduction", _reduction = nn.Linear(4 * width, 2 * width, hasBias: false));
        InitialWeights.Normal(_reduction);
    }

    /// <summary>The tokens of every 2x2 neighbours as one.</summary>
    /// <param name="tokens">[B, rows * columns, width], row by row.</param>
    /// <param name="rows">Tokens down, an even number.</param>
    /// <param name="columns">Tokens across, an even number.</param>
    /// <returns>[B, rows/2 * columns/2, 2 width]; the caller's.</returns>
    /// <exception cref="ArgumentException">A side is odd, or the shape does not fit.</exception>
    public Tensor forward(Tensor tokens, long rows, long columns)
    {
        if (rows % 2 != 0 || columns % 2 != 0)
            throw new ArgumentException($"Merging needs even sides, got {rows} by {columns} tokens.", nameof(rows));
        Guard.Shape(tokens, [-1, Guard.Positive(rows) * Guard.Positive(columns), _width]);
        using var scope = NewDisposeScope();
        var batch = tokens.shape[0];
        var joined = tokens.view(batch, rows / 2, 2, columns / 2, 2, _width)
            .permute(0, 1, 3, 4, 2, 5)
            .reshape(batch, rows * columns / 4, 4 * _width);
        return _reduction.call(_norm.call(joined)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
