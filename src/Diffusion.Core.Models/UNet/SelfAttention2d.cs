using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Self-attention over the positions of a signal, an image or a volume, with a residual connection.</summary>
/// <remarks>
/// Source: Vaswani et al. 2017, eq. 1; in a U-Net: Ho et al. 2020, appendix B. State: <c>group_norm</c>, <c>to_q</c>, <c>to_k</c>,
/// <c>to_v</c>, <c>to_out.0</c>. Without a norm, there is no <c>group_norm</c>.
/// </remarks>
internal sealed class SelfAttention2d : NamedModule<Tensor, Tensor>, IUNetLayer
{
    private readonly int _channels;
    private readonly int _dimensions;
    private readonly double _outputScale = 1;
    private readonly GroupNormalization? _norm;
    private readonly MultiHeadAttention _attention;

    /// <summary>Creates a layer of given sizes.</summary>
    /// <param name="channels">C, the number of channels.</param>
    /// <param name="headWidth">
    /// The number of channels of one head, which must divide C; <see langword="null"/> for a single head.
    /// </param>
    /// <param name="groups">
    /// The number of groups of the norm before attention, which must divide C; <see langword="null"/> for no norm.
    /// </param>
    /// <param name="normEpsilon">The epsilon of the norm. The default is 1e-5.</param>
    /// <param name="dimensions">The number of spatial dimensions: 1, 2 or 3. The default is 2.</param>
    /// <exception cref="ArgumentException">
    /// A size is out of range, or the head width or the number of groups does not divide the number of channels.
    /// </exception>
    public SelfAttention2d(int channels, int? headWidth, int? groups, double normEpsilon = 1e-5, int dimensions = 2)
        : base(nameof(SelfAttention2d))
    {
        _channels = Guard.Positive(channels);
        _dimensions = Guard.InRange(dimensions, 1, 3);
        var width = Guard.Positive(headWidth ?? channels, nameof(headWidth));
        if (channels % width != 0)
            throw new ArgumentException(
                Invariant($"The head width must divide the {channels} channels, got {headWidth}."), nameof(headWidth));
        if (groups is { } count)
        {
            if (count < 1 || channels % count != 0)
                throw new ArgumentException(Invariant($"The groups must divide the {channels} channels, got {count}."), nameof(groups));
            _norm = new GroupNormalization(count, channels, normEpsilon);
            register_module("group_norm", _norm);
        }

        _attention = new(new MultiHeadAttentionOptions { Width = channels, Heads = channels / width, HeadWidth = width });
        foreach (var (name, part) in _attention.named_children())
            register_module(name, part);
    }

    /// <summary>The divisor of the sum of input and output. The default is 1.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is not finite and positive.</exception>
    public double OutputScale
    {
        get => _outputScale;
        init => _outputScale = Guard.Positive(value);
    }

    /// <summary>Applies attention to an image.</summary>
    /// <param name="input">[B, C, ...].</param>
    /// <returns>[B, C, ...]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shape does not match.</exception>
    public override Tensor forward(Tensor input)
    {
        Layers.CheckImage(input, _dimensions, _channels, nameof(input));
        using var scope = NewDisposeScope();
        var normed = _norm is null ? input : _norm.call(input);
        var image = Layers.Image(_attention.call(Layers.Pixels(normed), null, null), input);
        image = input.Add(image);
        return (_outputScale == 1 ? image : image.Div_(_outputScale)).MoveToOuterDisposeScope();
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context) => call(x);
}

/// <summary>The options of self-attention after each residual block of a level, as a <see cref="SelfAttention2d"/>.</summary>
public sealed record SelfAttentionOptions : IUNetLayerOptions
{
    /// <summary>
    /// The number of channels of one head, which must divide the width of the level. The default is <see langword="null"/>: a single head.
    /// </summary>
    public int? HeadWidth { get; init; }

    /// <summary>Whether a group norm is applied before attention. The default is <see langword="true"/>.</summary>
    public bool Norm { get; init; } = true;

    /// <summary>
    /// The number of groups of the norm, which must divide the width of the level. The default is <see langword="null"/>: that of the
    /// network.
    /// </summary>
    public int? Groups { get; init; }

    /// <summary>The divisor of the sum of input and output. The default is 1.</summary>
    public double OutputScale { get; init; } = 1;

    /// <inheritdoc/>
    public IUNetLayer Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        var network = place.Network;
        var groups = Norm ? Groups ?? network.Groups() : (int?)null;
        return new SelfAttention2d(place.Width, HeadWidth, groups, network.NormEpsilon, network.Dimensions) { OutputScale = OutputScale };
    }
}
