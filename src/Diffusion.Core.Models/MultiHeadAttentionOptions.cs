namespace Diffusion.Core.Models;

/// <summary>The sizes of a <see cref="MultiHeadAttention"/>.</summary>
public sealed record MultiHeadAttentionOptions
{
    /// <summary>The width of the tokens.</summary>
    public required int Width { get; init; }

    /// <summary>The number of heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Channels of one head; heads times head width need not be the width of the tokens.</summary>
    public required int HeadWidth { get; init; }

    /// <summary>The width of what is attended to; that of the tokens by default.</summary>
    public int? ContextWidth { get; init; }

    /// <summary>The width of the answer; that of the tokens by default.</summary>
    public int? OutputWidth { get; init; }

    /// <summary>A bias in the projections to queries, keys and values. On by default.</summary>
    public bool InputBias { get; init; } = true;

    /// <summary>A bias in the projection of the answer. On by default.</summary>
    public bool OutputBias { get; init; } = true;
}
