using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Attention of the pixels of an image to tokens and to each other, with one softmax over both: the keys and values of the tokens are
/// concatenated with those of the pixels. The layer has a residual connection.
/// </summary>
/// <remarks>
/// Source: Nichol et al. 2021 (GLIDE), section 4.1. State: <c>group_norm</c>, <c>to_q</c>, <c>to_k</c>, <c>to_v</c>, <c>add_k_proj</c>,
/// <c>add_v_proj</c>, <c>to_out.0</c>, <c>norm_cross</c>. There is no <c>to_k</c> and no <c>to_v</c> if pixels attend to the tokens only,
/// and no <c>norm_cross</c> if the tokens are not normalized.
/// </remarks>
internal sealed class SimpleCrossAttention : NamedModule<Tensor, Tensor, Tensor?, Tensor>, IUNetLayer
{
    private const double NormEpsilon = 1e-5;

    private readonly SimpleCrossAttentionOptions _options;
    private readonly int _channels;
    private readonly int _dimensions;
    private readonly GroupNormalization _norm;
    private readonly GroupNormalization? _contextNorm;
    private readonly Linear _query;
    private readonly Linear? _key;
    private readonly Linear? _value;
    private readonly Linear _contextKey;
    private readonly Linear _contextValue;
    private readonly Linear _output;

    /// <summary>Creates a layer of given sizes.</summary>
    /// <param name="options">The options of the layer.</param>
    /// <param name="channels">C, the number of channels, a multiple of the width of a head.</param>
    /// <param name="groups">The number of groups of the norm before attention, which must divide C.</param>
    /// <param name="dimensions">The number of spatial dimensions: 1, 2 or 3. The default is 2.</param>
    /// <exception cref="ArgumentException">
    /// A size is out of range, or the head width or a number of groups does not divide the channels that it applies to.
    /// </exception>
    public SimpleCrossAttention(SimpleCrossAttentionOptions options, int channels, int groups, int dimensions = 2)
        : base(nameof(SimpleCrossAttention))
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _channels, _dimensions) = (options, Guard.Positive(channels), Guard.InRange(dimensions, 1, 3));
        if (options.HeadWidth < 1 || channels % options.HeadWidth != 0)
            throw new ArgumentException(
                Invariant($"The head width must divide the {channels} channels, got {options.HeadWidth}."), nameof(options));
        if (groups < 1 || channels % groups != 0)
            throw new ArgumentException(Invariant($"The groups must divide the {channels} channels, got {groups}."), nameof(groups));
        var context = Guard.Positive(options.ContextWidth);
        if (options.ContextGroups is { } count && (count < 1 || context % count != 0))
            throw new ArgumentException(
                Invariant($"The groups must divide the width {context} of the tokens, got {count}."), nameof(options));
        register_module("group_norm", _norm = new GroupNormalization(groups, channels, NormEpsilon));
        register_module("to_q", _query = Layers.Linear(channels, channels));
        if (!options.OnlyCrossAttention)
        {
            register_module("to_k", _key = Layers.Linear(channels, channels));
            register_module("to_v", _value = Layers.Linear(channels, channels));
        }

        register_module("add_k_proj", _contextKey = Layers.Linear(context, channels));
        register_module("add_v_proj", _contextValue = Layers.Linear(context, channels));
        register_module("to_out", new ModuleList<Linear>(_output = Layers.Linear(channels, channels)));
        if (options.ContextGroups is { } contextGroups)
            register_module("norm_cross", _contextNorm = new GroupNormalization(contextGroups, context, NormEpsilon));
    }

    /// <summary>Applies attention to an image.</summary>
    /// <param name="x">[B, C, ...].</param>
    /// <param name="sequence">[B, L, D] tokens.</param>
    /// <param name="mask">
    /// [B, 1, 1, L] bool: true for the tokens that may be attended to; <see langword="null"/> for all tokens.
    /// </param>
    /// <returns>[B, C, ...]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">A shape does not match.</exception>
    public override Tensor forward(Tensor x, Tensor sequence, Tensor? mask)
    {
        Layers.CheckImage(x, _dimensions, _channels, nameof(x));
        Guard.Shape(sequence, [x.shape[0], -1, _options.ContextWidth]);
        if (mask is not null)
            Guard.Shape(mask, [x.shape[0], 1, 1, sequence.shape[1]]);
        using var scope = NewDisposeScope();
        var pixels = Layers.Pixels(_norm.call(x));
        var tokens = _contextNorm is null ? sequence : _contextNorm.call(sequence.transpose(1, 2)).transpose(1, 2);
        var (key, value) = (_contextKey.call(tokens), _contextValue.call(tokens));
        if (_key is not null)
        {
            (key, value) = (cat([key, _key.call(pixels)], 1), cat([value, _value!.call(pixels)], 1));
            if (mask is not null)
                mask = cat([mask, ones([x.shape[0], 1, 1, pixels.shape[1]], ScalarType.Bool, mask.device)], 3);
        }

        var attended = Layers.Attend(_query.call(pixels), key, value, _channels / _options.HeadWidth, mask);
        return x.Add(Layers.Image(_output.call(attended), x)).MoveToOuterDisposeScope();
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context) => call(x, context.RequireSequence(), context.EncoderAttentionMask);
}

/// <summary>
/// The options of attention to the pixels and to the tokens of the condition after each residual block of a level, as a
/// <see cref="SimpleCrossAttention"/>.
/// </summary>
public sealed record SimpleCrossAttentionOptions : IUNetLayerOptions
{
    /// <summary>The number of channels of one head, which must divide the width of the level. The default is 64.</summary>
    public int HeadWidth { get; init; } = 64;

    /// <summary>The width of the tokens.</summary>
    public required int ContextWidth { get; init; }

    /// <summary>Whether pixels attend to the tokens only, and not to each other. The default is <see langword="false"/>.</summary>
    public bool OnlyCrossAttention { get; init; }

    /// <summary>
    /// The number of groups of a group norm of the tokens, which must divide their width. The default is <see langword="null"/>: no norm.
    /// </summary>
    public int? ContextGroups { get; init; }

    /// <inheritdoc/>
    public IUNetLayer Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        return new SimpleCrossAttention(this, place.Width, place.Network.Groups(), place.Network.Dimensions);
    }
}
