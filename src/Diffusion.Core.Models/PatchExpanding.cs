using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Makes 2x2 tokens of half the width of every token. State: <c>expansion</c>, <c>norm</c>.</summary>
/// <remarks>Source: Cao et al. 2021, section 3.4.</remarks>
public sealed class PatchExpanding : nn.Module
{
    private readonly int _width;
    private readonly Linear _expansion;
    private readonly LayerNormalization _norm;

    /// <summary>Expanding of tokens of a width.</summary>
    /// <param name="width">The width of the tokens that come in, an even number.</param>
    /// <exception cref="ArgumentException">The width is not positive and even.</exception>
    public PatchExpanding(int width)
        : base(nameof(PatchExpanding))
    {
        if (width < 2 || width % 2 != 0)
            throw new ArgumentException($"Expanding needs an even width from 2, got {width}.", nameof(width));
        _width = width;
        register_module("expansion", _expansion = nn.Linear(width, 2 * width, hasBias: false));
        register_module("norm", _norm = new LayerNormalization(width / 2));
        InitialWeights.Normal(_expansion);
    }

    /// <summary>Every token as 2x2 of them.</summary>
    /// <param name="tokens">[B, rows * columns, width], row by row.</param>
    /// <param name="rows">Tokens down.</param>
    /// <param name="columns">Tokens across.</param>
    /// <returns>[B, 2 rows * 2 columns, width/2]; the caller's.</returns>
    /// <exception cref="ArgumentException">The shape does not fit.</exception>
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

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
