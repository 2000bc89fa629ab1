using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A transformer block: self-attention, optional cross-attention to a context, and a feed-forward layer, each with a norm before it and a
/// residual connection. The block may be modulated by an embedding of timestep and condition (adaLN-Zero).
/// </summary>
/// <remarks>
/// Source: Vaswani et al. 2017, section 3.1, with the norms first (Xiong et al. 2020); Peebles and Xie 2023, section 3.2. State, with the
/// names of diffusers: <c>norm1</c> (<c>norm1.linear</c> if modulated), <c>attn1</c>, <c>norm2</c>, <c>attn2</c>, <c>norm3</c>, <c>ff</c>.
/// </remarks>
internal sealed class TransformerBlock : NamedModule<Tensor, Tensor?, Tensor?, Tensor>
{
    // The vectors of the modulation: shift, scale and gate of attention, then shift, scale and gate of the feed-forward layer.
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

    /// <summary>Creates a block.</summary>
    /// <param name="options">The sizes and options of the block.</param>
    /// <exception cref="ArgumentException">An option is out of range or inconsistent with another.</exception>
    public TransformerBlock(TransformerBlockOptions options)
        : this(options, null)
    {
    }

    /// <summary>Creates a block with a separate embedding, or none if it is <see langword="null"/>.</summary>
    internal TransformerBlock(TransformerBlockOptions options, TransformerEmbedding? embedding)
        : base(nameof(TransformerBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        TransformerOptions.ValidateHeads(options.Width, options.HeadWidth is null ? options.Heads : 1, nameof(options.Heads));
        Guard.Positive(options.NormEpsilon);
        if (options.OnlyCrossAttention && options.ContextWidth is null)
            throw new ArgumentException("A block with only cross-attention needs a context width, got none.", nameof(options));
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

    /// <summary>
    /// The separate embedding of the block, which the network calls; <see langword="null"/> if there is none.
    /// </summary>
    internal TransformerEmbedding? Embedding { get; }

    /// <summary>Initializes the weights of attention and of the feed-forward layer. Norms and modulation do not change.</summary>
    internal void Initialise(Action<nn.Module> fill)
    {
        fill(_attention);
        if (_crossAttention is not null)
            fill(_crossAttention);
        fill(_forward);
    }

    /// <summary>Applies the block to tokens.</summary>
    /// <param name="tokens">[B, N, width].</param>
    /// <param name="embedding">[B, embedding width]; <see langword="null"/> for a block without modulation.</param>
    /// <param name="context">[B, M, context width]; <see langword="null"/> for a block without context.</param>
    /// <returns>[B, N, width]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">A shape does not match, or a tensor is missing or not expected.</exception>
    public override Tensor forward(Tensor tokens, Tensor? embedding, Tensor? context) => forward(tokens, embedding, context, null);

    /// <summary>Applies the block to tokens, with a mask of the context.</summary>
    /// <param name="tokens">[B, N, width].</param>
    /// <param name="embedding">[B, embedding width]; <see langword="null"/> for a block without modulation.</param>
    /// <param name="context">[B, M, context width]; <see langword="null"/> for a block without context.</param>
    /// <param name="contextMask">
    /// A mask that broadcasts to [B, heads, N, M], as in <see cref="MultiHeadAttention"/>; <see langword="null"/> for no mask.
    /// </param>
    /// <returns>[B, N, width]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">A shape does not match, or a tensor is missing or not expected.</exception>
    public Tensor forward(Tensor tokens, Tensor? embedding, Tensor? context, Tensor? contextMask)
        => _options.OnlyCrossAttention
            ? Run(tokens, embedding, context, contextMask, (attention, normed) => attention.call(normed, context, contextMask))
            : Run(tokens, embedding, context, contextMask, static (attention, normed) => attention.call(normed, null, null));

    /// <summary>Applies the block with custom self-attention.</summary>
    /// <param name="tokens">[B, N, width].</param>
    /// <param name="embedding">[B, embedding width]; <see langword="null"/> for a block without modulation.</param>
    /// <param name="attend">
    /// Maps the attention layer and the normalized tokens, [B, N, width], to the output of attention, [B, N, width].
    /// </param>
    /// <returns>[B, N, width]. The caller must dispose the tensor.</returns>
    internal Tensor Run(Tensor tokens, Tensor? embedding, Func<MultiHeadAttention, Tensor, Tensor> attend)
        => Run(tokens, embedding, null, null, attend);

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
            throw new ArgumentException("This block takes no embedding, but received one.", nameof(embedding));
        if (_crossAttention is not null)
            ArgumentNullException.ThrowIfNull(context);
        else if (context is not null)
            throw new ArgumentException("This block has no cross-attention and accepts no context, but received one.", nameof(context));
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

/// <summary>The sizes and options of a <see cref="TransformerBlock"/>.</summary>
internal sealed record TransformerBlockOptions
{
    /// <summary>The width of the tokens.</summary>
    public required int Width { get; init; }

    /// <summary>The number of heads.</summary>
    public required int Heads { get; init; }

    /// <summary>
    /// The number of channels of one head. The default is <see langword="null"/>: the width divided by the number of heads.
    /// </summary>
    public int? HeadWidth { get; init; }

    /// <summary>
    /// The width of the embedding that shifts, scales and gates attention and the feed-forward layer (adaLN-Zero). The default is
    /// <see langword="null"/>: a pre-norm block without modulation.
    /// </summary>
    public int? EmbeddingWidth { get; init; }

    /// <summary>
    /// The width of the context, to which the tokens attend after self-attention. The default is <see langword="null"/>: no
    /// cross-attention.
    /// </summary>
    public int? ContextWidth { get; init; }

    /// <summary>
    /// Whether the first attention also attends to the context instead of the tokens. The default is <see langword="false"/>.
    /// </summary>
    public bool OnlyCrossAttention { get; init; }

    /// <summary>The hidden width of the feed-forward layer. The default is <see langword="null"/>: four times the width.</summary>
    public int? Hidden { get; init; }

    /// <summary>
    /// The activation of the feed-forward layer. The default is <see langword="null"/>: <see cref="Activation.Gelu"/>.
    /// </summary>
    public Activation? Activation { get; init; }

    /// <summary>The probability of dropout after attention and inside the feed-forward layer. The default is 0.</summary>
    public double Dropout { get; init; }

    /// <summary>Whether the projections to queries, keys and values have a bias. The default is <see langword="true"/>.</summary>
    public bool AttentionBias { get; init; } = true;

    /// <summary>
    /// Whether the norms have a learned weight and bias, except the first norm of a modulated block, which has none. The default is
    /// <see langword="true"/>.
    /// </summary>
    public bool NormAffine { get; init; } = true;

    /// <summary>
    /// The epsilon of the norms, except the first norm of a modulated block, whose epsilon is 1e-6. The default is 1e-5.
    /// </summary>
    public double NormEpsilon { get; init; } = 1e-5;
}
