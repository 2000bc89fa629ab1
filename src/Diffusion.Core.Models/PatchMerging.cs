using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Joins the tokens of every 2x2 neighbours to one of twice the width. State: <c>norm</c>, <c>reduction</c>.</summary>
/// <remarks>Source: Liu et al. 2021, section 3.1.</remarks>
internal sealed class PatchMerging : nn.Module
{
    private readonly LayerNorm _norm;
    private readonly Linear _reduction;

    /// <summary>Merging of tokens of a width.</summary>
    public PatchMerging(int width)
        : base(nameof(PatchMerging))
    {
        register_module("norm", _norm = nn.LayerNorm(4 * width));
        register_module("reduction", _reduction = nn.Linear(4 * width, 2 * width, hasBias: false));
        InitialWeights.Normal(_reduction);
    }

    /// <summary>[B, rows * columns, width] to [B, rows/2 * columns/2, 2 width], for even sides; the caller's.</summary>
    public Tensor Forward(Tensor tokens, long rows, long columns)
    {
        using var scope = NewDisposeScope();
        var (batch, width) = (tokens.shape[0], tokens.shape[2]);
        var joined = tokens.view(batch, rows / 2, 2, columns / 2, 2, width)
            .permute(0, 1, 3, 4, 2, 5)
            .reshape(batch, rows * columns / 4, 4 * width);
        return _reduction.call(_norm.call(joined)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
