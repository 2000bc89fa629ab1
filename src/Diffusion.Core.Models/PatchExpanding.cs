using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Makes 2x2 tokens of half the width of every token. State: <c>expansion</c>, <c>norm</c>.</summary>
/// <remarks>Source: Cao et al. 2021, section 3.4.</remarks>
internal sealed class PatchExpanding : nn.Module
{
    private readonly Linear _expansion;
    private readonly LayerNorm _norm;

    /// <summary>Expanding of tokens of an even width.</summary>
    public PatchExpanding(int width)
        : base(nameof(PatchExpanding))
    {
        register_module("expansion", _expansion = nn.Linear(width, 2 * width, hasBias: false));
        register_module("norm", _norm = nn.LayerNorm(width / 2));
        InitialWeights.Normal(_expansion);
    }

    /// <summary>[B, rows * columns, width] to [B, 2 rows * 2 columns, width/2]; the caller's.</summary>
    public Tensor Forward(Tensor tokens, long rows, long columns)
    {
        using var scope = NewDisposeScope();
        var (batch, half) = (tokens.shape[0], tokens.shape[2] / 2);
        var spread = _expansion.call(tokens).view(batch, rows, columns, 2, 2, half)
            .permute(0, 1, 3, 2, 4, 5)
            .reshape(batch, 4 * rows * columns, half);
        return _norm.call(spread).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
