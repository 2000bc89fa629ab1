using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// One transformer layer: tokens attend to each other, then to a context, then go through a feed-forward network with GEGLU; each on
/// normalised tokens, with the input added back.
/// </summary>
/// <remarks>
/// Source: Rombach et al. 2022, appendix E.2.1. State: <c>norm1</c>, <c>attn1</c>, <c>norm2</c>, <c>attn2</c>, <c>norm3</c>, <c>ff</c>.
/// </remarks>
public sealed class CrossAttentionBlock : nn.Module<Tensor, Tensor, Tensor?, Tensor>
{
    private readonly bool _onlyCross;
    private readonly LayerNorm _norm1;
    private readonly MultiHeadAttention _attention1;
    private readonly LayerNorm _norm2;
    private readonly MultiHeadAttention _attention2;
    private readonly LayerNorm _norm3;
    private readonly FeedForward _feedForward;

    /// <summary>A layer of given sizes.</summary>
    /// <param name="width">The width of the tokens; the number of heads divides it.</param>
    /// <param name="options">Heads, the width of the context, and what the first attention attends to.</param>
    /// <exception cref="ArgumentException">A size is not positive.</exception>
    public CrossAttentionBlock(int width, SpatialTransformerOptions options)
        : base(nameof(CrossAttentionBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        _onlyCross = options.OnlyCrossAttention;
        var cross = new MultiHeadAttentionOptions
        {
            Width = width,
            Heads = options.Heads,
            HeadWidth = width / options.Heads,
            ContextWidth = options.ContextWidth,
            InputBias = false,
        };
        _norm1 = nn.LayerNorm(width);
        _attention1 = new MultiHeadAttention(_onlyCross ? cross : cross with { ContextWidth = null });
        _norm2 = nn.LayerNorm(width);
        _attention2 = new MultiHeadAttention(cross);
        _norm3 = nn.LayerNorm(width);
        _feedForward = new FeedForward(width, activation: Activation.GeGlu);
        register_module("norm1", _norm1);
        register_module("attn1", _attention1);
        register_module("norm2", _norm2);
        register_module("attn2", _attention2);
        register_module("norm3", _norm3);
        register_module("ff", _feedForward);
    }

    /// <summary>The tokens after the layer.</summary>
    /// <param name="tokens">[B, N, width].</param>
    /// <param name="context">[B, L, context width].</param>
    /// <param name="mask">Broadcast over [B, heads, N, L]: true where a token may attend to the context. Null for everywhere.</param>
    /// <returns>[B, N, width]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape does not fit.</exception>
    public override Tensor forward(Tensor tokens, Tensor context, Tensor? mask)
    {
        using var scope = NewDisposeScope();
        var hidden = _attention1.call(_norm1.call(tokens), _onlyCross ? context : null, _onlyCross ? mask : null).add(tokens);
        hidden = _attention2.call(_norm2.call(hidden), context, mask).add(hidden);
        return _feedForward.call(_norm3.call(hidden)).add(hidden).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
