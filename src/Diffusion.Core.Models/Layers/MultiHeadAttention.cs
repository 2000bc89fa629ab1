using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Self-attention of tokens, or cross-attention of tokens to a context: softmax(Q K^T / sqrt(d)) V in each head, then a linear layer.
/// </summary>
/// <remarks>
/// Source: Vaswani et al. 2017, eq. 1 and section 3.2.2. State: <c>to_q</c>, <c>to_k</c>, <c>to_v</c>, <c>to_out.0</c>.
/// </remarks>
internal sealed class MultiHeadAttention : NamedModule<Tensor, Tensor?, Tensor?, Tensor>
{
    private readonly MultiHeadAttentionOptions _options;
    private readonly Linear _query;
    private readonly Linear _key;
    private readonly Linear _value;
    private readonly Linear _output;

    /// <summary>Creates an attention layer of given sizes.</summary>
    /// <exception cref="ArgumentException">A size is not positive.</exception>
    public MultiHeadAttention(MultiHeadAttentionOptions options)
        : base(nameof(MultiHeadAttention))
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        var width = Guard.Positive(options.Width);
        var context = Guard.Positive(options.ContextWidth ?? width, nameof(options.ContextWidth));
        var inner = Guard.Positive(options.Heads) * Guard.Positive(options.HeadWidth);
        _query = Layers.Linear(width, inner, options.InputBias);
        _key = Layers.Linear(context, inner, options.InputBias);
        _value = Layers.Linear(context, inner, options.InputBias);
        _output = Layers.Linear(inner, Guard.Positive(options.OutputWidth ?? width, nameof(options.OutputWidth)), options.OutputBias);
        register_module("to_q", _query);
        register_module("to_k", _key);
        register_module("to_v", _value);
        register_module("to_out", new ModuleList<Linear>(_output));
    }

    /// <summary>Applies attention to tokens.</summary>
    /// <param name="tokens">[B, N, width].</param>
    /// <param name="context">[B, M, context width] the context, or <see langword="null"/> for self-attention.</param>
    /// <param name="mask">
    /// A mask that broadcasts to [B, heads, N, M]: bool, true where a token may attend, or floating point, added to the logits;
    /// <see langword="null"/> for no mask.
    /// </param>
    /// <returns>[B, N, output width]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">A shape does not match.</exception>
    public override Tensor forward(Tensor tokens, Tensor? context, Tensor? mask)
    {
        Guard.Shape(tokens, [-1, -1, _options.Width]);
        var source = context ?? tokens;
        Guard.Shape(source, [tokens.shape[0], -1, _options.ContextWidth ?? _options.Width], nameof(context));
        if (mask is not null)
            Guard.Broadcasts(mask, [tokens.shape[0], _options.Heads, tokens.shape[1], source.shape[1]]);
        using var scope = NewDisposeScope();
        var attended = Layers.Attend(_query.call(tokens), _key.call(source), _value.call(source), _options.Heads, mask);
        return _output.call(attended).MoveToOuterDisposeScope();
    }
}

/// <summary>The sizes of a <see cref="MultiHeadAttention"/>.</summary>
internal sealed record MultiHeadAttentionOptions
{
    /// <summary>The width of the tokens.</summary>
    public required int Width { get; init; }

    /// <summary>The number of heads.</summary>
    public required int Heads { get; init; }

    /// <summary>The number of channels of one head. The number of heads times this width may differ from the width of the tokens.</summary>
    public required int HeadWidth { get; init; }

    /// <summary>The width of the context. The default is <see langword="null"/>: the width of the tokens.</summary>
    public int? ContextWidth { get; init; }

    /// <summary>The width of the output. The default is <see langword="null"/>: the width of the tokens.</summary>
    public int? OutputWidth { get; init; }

    /// <summary>Whether the projections to queries, keys and values have a bias. The default is <see langword="true"/>.</summary>
    public bool InputBias { get; init; } = true;

    /// <summary>Whether the projection of the output has a bias. The default is <see langword="true"/>.</summary>
    public bool OutputBias { get; init; } = true;
}
