namespace Diffusion.Core.Models;

/// <summary>The sizes of a <see cref="TransformerBlock"/>.</summary>
public sealed record TransformerBlockOptions
{
    /// <summary>The width of the tokens.</summary>
    public required int Width { get; init; }

    /// <summary>The number of heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Channels of one head; the width over the heads by default.</summary>
    public int? HeadWidth { get; init; }

    /// <summary>
    /// The width of the condition's embedding, which then shifts, scales and gates both halves of the block (adaLN-Zero); null, the
    /// default, for a plain pre-norm block.
    /// </summary>
    public int? EmbeddingWidth { get; init; }

    /// <summary>The width of the context, which the tokens then attend to between the halves; null, the default, for none.</summary>
    public int? ContextWidth { get; init; }

    /// <summary>True where the first attention too attends to the context, not to the tokens. Off by default.</summary>
    public bool OnlyCrossAttention { get; init; }

    /// <summary>The hidden width of the feed-forward layer; four times the width by default.</summary>
    public int? Hidden { get; init; }

    /// <summary>The activation of the feed-forward layer; <see cref="Activation.Gelu"/> by default.</summary>
    public IActivation? Activation { get; init; }

    /// <summary>The probability of dropout after attention and inside the feed-forward layer. 0 by default.</summary>
    public double Dropout { get; init; }

    /// <summary>A bias in the projections to queries, keys and values. On by default.</summary>
    public bool AttentionBias { get; init; } = true;

    /// <summary>Learned weight and bias in the norms, but for the one that an embedding modulates. On by default.</summary>
    public bool NormAffine { get; init; } = true;

    /// <summary>The epsilon of the norms; the one that an embedding modulates has 1e-6. 1e-5 by default.</summary>
    public double NormEpsilon { get; init; } = 1e-5;
}
