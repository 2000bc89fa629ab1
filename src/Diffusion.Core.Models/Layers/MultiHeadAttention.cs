using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Attention of tokens to themselves or to a context: softmax(Q K^T / sqrt(d)) V in each head, then a linear layer.</summary>
/// <remarks>
/// Source: Vaswani et al. 2017, eq. 1 and section 3.2.2. State: <c>to_q</c>, <c>to_k</c>, <c>to_v</c>, <c>to_out.0</c>.
/// </remarks>
public sealed class MultiHeadAttention : nn.Module<Tensor, Tensor?, Tensor?, Tensor>
{
    private readonly MultiHeadAttentionOptions _options;
    private readonly Linear _query;
    private readonly Linear _key;
    private readonly Linear _value;
    private readonly Linear _output;

    /// <summary>Attention of given sizes.</summary>
    /// <exception cref="ArgumentException">A size is not positive.</exception>
    public MultiHeadAttention(MultiHeadAttentionOptions options)
        : base(nameof(MultiHeadAttention))
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        var width = Guard.Positive(options.Width);
        var context = Guard.Positive(options.ContextWidth ?? width, nameof(options.ContextWidth));
        var inner = Guard.Positive(options.Heads) * Guard.Positive(options.HeadWidth);
        _query = nn.Linear(width, inner, options.InputBias);
        _key = nn.Linear(context, inner, options.InputBias);
        _value = nn.Linear(context, inner, options.InputBias);
        _output = nn.Linear(inner, Guard.Positive(options.OutputWidth ?? width, nameof(options.OutputWidth)), options.OutputBias);
        register_module("to_q", _query);
        register_module("to_k", _key);
        register_module("to_v", _value);
        register_module("to_out", new ModuleList<Linear>(_output));
    }

    /// <summary>Every token informed by all that it may attend to.</summary>
    /// <param name="tokens">[B, N, width].</param>
    /// <param name="context">[B, M, context width], or null for the tokens themselves.</param>
    /// <param name="mask">
    /// Broadcast over [B, heads, N, M]: bool, true where a token may attend, or floating point, added to the logits. Null for everywhere.
    /// </param>
    /// <returns>[B, N, output width]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape does not fit.</exception>
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

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}

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
