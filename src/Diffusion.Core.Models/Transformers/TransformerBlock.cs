using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The block a transformer is made of: self-attention, attention to a context where it has one, and a feed-forward layer, each behind a
/// norm and added to what came in. An embedding of time and condition may modulate it (adaLN-Zero).
/// </summary>
/// <remarks>
/// Source: Vaswani et al. 2017, section 3.1, with norms first (Xiong et al. 2020); Peebles and Xie 2023, section 3.2. State, named as
/// diffusers names it: <c>norm1</c> (<c>norm1.linear</c> where modulated), <c>attn1</c>, <c>norm2</c>, <c>attn2</c>, <c>norm3</c>,
/// <c>ff</c>.
/// </remarks>
public sealed class TransformerBlock : nn.Module<Tensor, Tensor?, Tensor?, Tensor>
{
    // Of the vectors of an embedding: shift, scale and gate of attention, then those of the feed-forward layer.
    private const int Vectors = 6;
    private const int AttentionGate = 2;
    private const int ForwardShift = 3;
    private const int ForwardGate = 5;

    private readonly TransformerBlockOptions _options;
    private readonly AdaLayerNorm? _modulation;
    private readonly LayerNormalization? _norm1;
    private readonly MultiHeadAttention _attention;
    private readonly LayerNormalization? _norm2;
    private readonly MultiHeadAttention? _crossAttention;
    private readonly LayerNormalization _norm3;
    private readonly FeedForward _forward;
    private readonly SeededDropout _dropout;

    /// <summary>A block of given sizes.</summary>
    /// <exception cref="ArgumentException">A size does not fit.</exception>
    public TransformerBlock(TransformerBlockOptions options)
        : this(options, null)
    {
    }

    /// <summary>A block that holds the embedding it is modulated by.</summary>
    internal TransformerBlock(TransformerBlockOptions options, TransformerEmbedding? embedding)
        : base(nameof(TransformerBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        TransformerOptions.ValidateHeads(options.Width, options.HeadWidth is null ? options.Heads : 1, nameof(options.Heads));
        Guard.Positive(options.NormEpsilon);
        if (options.OnlyCrossAttention && options.ContextWidth is null)
            throw new ArgumentException("Cross-attention alone needs the width of the context, got none.", nameof(options));
        (_options, Embedding) = (options, embedding);
        if (options.EmbeddingWidth is { } embeddingWidth)
            register_module("norm1", _modulation = new AdaLayerNorm(options.Width, Guard.Positive(embeddingWidth), Vectors, embedding));
        else
            register_module("norm1", _norm1 = Norm());
        register_module("attn1", _attention = Attention(options.OnlyCrossAttention ? options.ContextWidth : null));
        if (options.ContextWidth is { } contextWidth)
        {
            register_module("norm2", _norm2 = Norm());
            register_module("attn2", _crossAttention = Attention(contextWidth));
        }

        register_module("norm3", _norm3 = Norm());
        register_module("ff", _forward = new FeedForward(options.Width, options.Hidden, options.Activation, options.Dropout));
        register_module("dropout", _dropout = new SeededDropout(options.Dropout));
    }

    /// <summary>The embedding that it holds, for the network to call; null where the network has one for all.</summary>
    internal TransformerEmbedding? Embedding { get; }

    /// <summary>Sets the weights of attention and of the feed-forward layer; norms and what modulates them stay as they are.</summary>
    internal void Initialise(Action<nn.Module> fill)
    {
        fill(_attention);
        if (_crossAttention is not null)
            fill(_crossAttention);
        fill(_forward);
    }

    /// <summary>The tokens after the block.</summary>
    /// <param name="tokens">[B, N, width].</param>
    /// <param name="embedding">[B, embedding width]; null for a plain block.</param>
    /// <param name="context">[B, M, context width]; null for a block without context.</param>
    /// <returns>[B, N, width]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape does not fit, or something is missing or not expected.</exception>
    public override Tensor forward(Tensor tokens, Tensor? embedding, Tensor? context) => forward(tokens, embedding, context, null);

    /// <summary>The tokens after the block, with parts of the context hidden.</summary>
    /// <param name="tokens">[B, N, width].</param>
    /// <param name="embedding">[B, embedding width]; null for a plain block.</param>
    /// <param name="context">[B, M, context width]; null for a block without context.</param>
    /// <param name="contextMask">
    /// Broadcast over [B, heads, N, M], as <see cref="MultiHeadAttention"/> takes it; null to hide nothing.
    /// </param>
    /// <returns>[B, N, width]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape does not fit, or something is missing or not expected.</exception>
    public Tensor forward(Tensor tokens, Tensor? embedding, Tensor? context, Tensor? contextMask)
        => _options.OnlyCrossAttention
            ? Run(tokens, embedding, context, contextMask, (attention, normed) => attention.call(normed, context, contextMask))
            : Run(tokens, embedding, context, contextMask, static (attention, normed) => attention.call(normed, null, null));

    /// <summary>The block with self-attention of another reach.</summary>
    /// <param name="tokens">[B, N, width].</param>
    /// <param name="embedding">[B, embedding width]; null for a plain block.</param>
    /// <param name="attend">From the attention and the normed tokens [B, N, width] to new ones.</param>
    internal Tensor Run(Tensor tokens, Tensor? embedding, Func<MultiHeadAttention, Tensor, Tensor> attend)
        => Run(tokens, embedding, null, null, attend);

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }

    private Tensor Run(
        Tensor tokens, Tensor? embedding, Tensor? context, Tensor? contextMask, Func<MultiHeadAttention, Tensor, Tensor> attend)
    {
        Check(tokens, embedding, context);
        using var scope = NewDisposeScope();
        var vectors = _modulation?.call(embedding!);
        var normed = vectors is null ? _norm1!.call(tokens) : AdaLayerNorm.Modulate(AdaLayerNorm.Norm(tokens), vectors, 0);
        var hidden = tokens.Add(Gate(_dropout.call(attend(_attention, normed)), vectors, AttentionGate));
        if (_crossAttention is not null)
            hidden = hidden.Add(_dropout.call(_crossAttention.call(_norm2!.call(hidden), context, contextMask)));
        normed = _norm3.call(hidden);
        if (vectors is not null)
            normed = AdaLayerNorm.Modulate(normed, vectors, ForwardShift);
        return hidden.Add(Gate(_forward.call(normed), vectors, ForwardGate)).MoveToOuterDisposeScope();
    }

    private void Check(Tensor tokens, Tensor? embedding, Tensor? context)
    {
        Guard.Shape(tokens, [-1, -1, _options.Width]);
        if (_options.EmbeddingWidth is { } width)
            Guard.Shape(embedding!, [tokens.shape[0], width], nameof(embedding));
        else if (embedding is not null)
            throw new ArgumentException("This block is told nothing, but got an embedding.", nameof(embedding));
        if (_crossAttention is not null)
            ArgumentNullException.ThrowIfNull(context);
        else if (context is not null)
            throw new ArgumentException("This block attends to no context, but got one.", nameof(context));
    }

    private static Tensor Gate(Tensor change, Tensor? vectors, int gate) => vectors is null ? change : change.mul(vectors.select(1, gate));

    private LayerNormalization Norm() => new(_options.Width, _options.NormEpsilon, _options.NormAffine);

    private MultiHeadAttention Attention(int? contextWidth) => new(new MultiHeadAttentionOptions
    {
        Width = _options.Width,
        Heads = _options.Heads,
        HeadWidth = _options.HeadWidth ?? (_options.Width / _options.Heads),
        ContextWidth = contextWidth,
        InputBias = _options.AttentionBias,
    });
}

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
