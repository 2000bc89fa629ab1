using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Attention of pixels to tokens and to each other in one softmax: keys and values of the tokens are joined to those of the pixels. The
/// input is added back.
/// </summary>
/// <remarks>
/// Source: Nichol et al. 2021 (GLIDE), section 4.1. State: <c>group_norm</c>, <c>to_q</c>, <c>to_k</c>, <c>to_v</c>, <c>add_k_proj</c>,
/// <c>add_v_proj</c>, <c>to_out.0</c>, <c>norm_cross</c>; no <c>to_k</c> and <c>to_v</c> where the tokens alone are attended to.
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

    /// <summary>Attention of given sizes.</summary>
    /// <param name="options">The choices.</param>
    /// <param name="channels">C; the width of a head divides it.</param>
    /// <param name="groups">Groups of the norm before it; divides C.</param>
    /// <param name="dimensions">The number of sizes of an image: 1, 2 or 3.</param>
    /// <exception cref="ArgumentException">A size is not positive, or does not divide the channels.</exception>
    public SimpleCrossAttention(SimpleCrossAttentionOptions options, int channels, int groups, int dimensions = 2)
        : base(nameof(SimpleCrossAttention))
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _channels, _dimensions) = (options, Guard.Positive(channels), Guard.InRange(dimensions, 1, 3));
        if (options.HeadWidth < 1 || channels % options.HeadWidth != 0)
            throw new ArgumentException($"The head width must divide the {channels} channels, got {options.HeadWidth}.", nameof(options));
        if (groups < 1 || channels % groups != 0)
            throw new ArgumentException($"The groups must divide the {channels} channels, got {groups}.", nameof(groups));
        var context = Guard.Positive(options.ContextWidth);
        if (options.ContextGroups is { } count && (count < 1 || context % count != 0))
            throw new ArgumentException($"The groups must divide the {context} features of the tokens, got {count}.", nameof(options));
        register_module("group_norm", _norm = new GroupNormalization(groups, channels, NormEpsilon));
        register_module("to_q", _query = nn.Linear(channels, channels));
        if (!options.OnlyCrossAttention)
        {
            register_module("to_k", _key = nn.Linear(channels, channels));
            register_module("to_v", _value = nn.Linear(channels, channels));
        }

        register_module("add_k_proj", _contextKey = nn.Linear(context, channels));
        register_module("add_v_proj", _contextValue = nn.Linear(context, channels));
        register_module("to_out", new ModuleList<Linear>(_output = nn.Linear(channels, channels)));
        if (options.ContextGroups is { } contextGroups)
            register_module("norm_cross", _contextNorm = new GroupNormalization(contextGroups, context, NormEpsilon));
    }

    /// <summary>The image with every pixel informed.</summary>
    /// <param name="x">[B, C, ...].</param>
    /// <param name="sequence">[B, L, D] tokens.</param>
    /// <param name="mask">[B, 1, 1, L] bool, true for the tokens that may be attended to; null for all.</param>
    /// <returns>[B, C, ...]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">A shape does not fit.</exception>
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
/// Attention of pixels to each other and to the tokens of the condition at once, after the residual blocks of a level: an
/// <see cref="SimpleCrossAttention"/>.
/// </summary>
public sealed record SimpleCrossAttentionOptions : IUNetLayerOptions
{
    /// <summary>Channels of one head; divides the width of the level. 64 by default.</summary>
    public int HeadWidth { get; init; } = 64;

    /// <summary>The width of the tokens that are attended to.</summary>
    public required int ContextWidth { get; init; }

    /// <summary>True to attend to the tokens alone, not to the pixels. False by default.</summary>
    public bool OnlyCrossAttention { get; init; }

    /// <summary>Groups of a group norm of the tokens; divides their width. Null, the default, for no norm.</summary>
    public int? ContextGroups { get; init; }

    /// <inheritdoc/>
    public IUNetLayer Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        return new SimpleCrossAttention(this, place.Width, place.Network.Groups(), place.Network.Dimensions);
    }
}
