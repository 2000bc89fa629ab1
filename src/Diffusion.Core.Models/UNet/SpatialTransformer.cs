using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Transformer blocks over the pixels of an image, which attend to each other and to a sequence of tokens, with a residual connection.
/// </summary>
/// <remarks>
/// Source: Rombach et al. 2022, appendix E.2.1. State: <c>norm</c>, <c>proj_in</c>, <c>transformer_blocks.N</c>, <c>proj_out</c>.
/// </remarks>
internal sealed class SpatialTransformer : NamedModule<Tensor, Tensor, Tensor?, Tensor>, IUNetLayer
{
    private const double NormEpsilon = 1e-6;

    private readonly bool _linear;
    private readonly int _dimensions;
    private readonly int _channels;
    private readonly GroupNormalization _norm;
    private readonly nn.Module<Tensor, Tensor> _projectionIn;
    private readonly ModuleList<TransformerBlock> _blocks = new();
    private readonly nn.Module<Tensor, Tensor> _projectionOut;

    /// <summary>Creates the blocks.</summary>
    /// <param name="options">The options of the blocks.</param>
    /// <param name="channels">C, the number of channels, a multiple of the number of heads.</param>
    /// <param name="groups">The number of groups of the norm before the blocks, which must divide C.</param>
    /// <param name="dimensions">The number of spatial dimensions: 1, 2 or 3. The default is 2.</param>
    /// <exception cref="ArgumentException">
    /// A size is out of range, or the number of heads or of groups does not divide the number of channels.
    /// </exception>
    public SpatialTransformer(SpatialTransformerOptions options, int channels, int groups, int dimensions = 2)
        : base(nameof(SpatialTransformer))
    {
        ArgumentNullException.ThrowIfNull(options);
        _channels = Guard.Positive(channels);
        _dimensions = Guard.InRange(dimensions, 1, 3);
        Guard.Positive(options.Layers);
        Guard.Positive(options.ContextWidth);
        if (options.Heads < 1 || channels % options.Heads != 0)
            throw new ArgumentException(
                Invariant($"{nameof(options.Heads)} must divide the {channels} channels, got {options.Heads}."), nameof(options));
        if (groups < 1 || channels % groups != 0)
            throw new ArgumentException(Invariant($"The groups must divide the {channels} channels, got {groups}."), nameof(groups));
        _linear = options.LinearProjection;
        _norm = new GroupNormalization(groups, channels, NormEpsilon);
        _projectionIn = Projection();
        for (var layer = 0; layer < options.Layers; layer++)
        {
            _blocks.Add(new TransformerBlock(new()
            {
                Width = channels,
                Heads = options.Heads,
                ContextWidth = options.ContextWidth,
                OnlyCrossAttention = options.OnlyCrossAttention,
                Activation = Activation.GeGlu,
                AttentionBias = false,
            }));
        }

        _projectionOut = Projection();
        register_module("norm", _norm);
        register_module("proj_in", _projectionIn);
        register_module("transformer_blocks", _blocks);
        register_module("proj_out", _projectionOut);
    }

    /// <summary>Applies the blocks to an image.</summary>
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
        using var scope = NewDisposeScope();
        var normed = _norm.call(x);
        var tokens = _linear ? _projectionIn.call(Layers.Pixels(normed)) : Layers.Pixels(_projectionIn.call(normed));
        foreach (var block in _blocks)
            tokens = Layers.Replace(tokens, block.forward(tokens, null, sequence, mask));
        var image = _linear ? Layers.Image(_projectionOut.call(tokens), x) : _projectionOut.call(Layers.Image(tokens, x));
        return x.Add(image).MoveToOuterDisposeScope();
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context) => call(x, context.RequireSequence(), context.EncoderAttentionMask);

    private nn.Module<Tensor, Tensor> Projection()
        => _linear ? Layers.Linear(_channels, _channels) : Layers.Convolution(_dimensions, _channels, _channels, 1);
}

/// <summary>
/// The options of transformer blocks after each residual block of a level, with cross-attention to the tokens of the condition.
/// </summary>
public sealed record SpatialTransformerOptions : IUNetLayerOptions
{
    /// <summary>
    /// The number of attention heads, which must divide the width of the level. The default is 8, as in Stable Diffusion 1.
    /// </summary>
    public int Heads { get; init; } = 8;

    /// <summary>The number of transformer blocks after each residual block. The default is 1.</summary>
    public int Layers { get; init; } = 1;

    /// <summary>The width of the tokens.</summary>
    public required int ContextWidth { get; init; }

    /// <summary>
    /// <see langword="true"/> for linear layers as input and output projections, as in Stable Diffusion 2; <see langword="false"/> for
    /// convolutions with a kernel of one pixel. The default is <see langword="false"/>.
    /// </summary>
    public bool LinearProjection { get; init; }

    /// <summary>
    /// Whether the first attention of each block also attends to the tokens instead of the pixels. The default is <see langword="false"/>.
    /// </summary>
    public bool OnlyCrossAttention { get; init; }

    /// <inheritdoc/>
    public IUNetLayer Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        return new SpatialTransformer(this, place.Width, place.Network.Groups(), place.Network.Dimensions);
    }
}
