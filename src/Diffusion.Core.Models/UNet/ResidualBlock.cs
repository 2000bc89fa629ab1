using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The standard residual block of a U-Net: norm, activation, convolution, embedding, norm, activation, dropout, convolution, and a residual
/// connection.
/// </summary>
/// <remarks>
/// <para>Source: Ho et al. 2020, appendix B; resampling inside the block: Brock et al. 2019. State: <c>norm1</c>, <c>conv1</c>,
/// <c>time_emb_proj</c>, <c>norm2</c>, <c>conv2</c> and, if the block has a convolution in the residual connection,
/// <c>conv_shortcut</c>. A block without an embedding has no <c>time_emb_proj</c>.</para>
/// <para>The module <c>norm1</c> and, without scale and shift, also <c>norm2</c> apply the activation after the norm. Their forward hooks
/// therefore receive the activated output.</para>
/// </remarks>
internal sealed class ResidualBlock : NamedModule<Tensor, Tensor?, Tensor>, IUNetLayer
{
    private readonly ResidualBlockOptions _options;
    private readonly GroupNormalization _norm1;
    private readonly Convolution _convolution1;
    private readonly Linear? _projection;
    private readonly GroupNormalization _norm2;
    private readonly SeededDropout _dropout;
    private readonly Convolution _convolution2;
    private readonly Convolution? _shortcut;

    /// <summary>Creates a block.</summary>
    /// <param name="options">The sizes and options of the block.</param>
    /// <exception cref="ArgumentException">An option is out of range, or the groups do not divide the channels.</exception>
    public ResidualBlock(ResidualBlockOptions options)
        : base(nameof(ResidualBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _options = options;
        _norm1 = new GroupNormalization(options.Groups, options.Inputs, options.NormEpsilon) { Activation = options.Activation };
        _convolution1 = Layers.Convolution(options.Dimensions, options.Inputs, options.Outputs, 3);
        if (options.EmbeddingWidth is { } width)
            _projection = Layers.Linear(width, options.ScaleShift ? 2L * options.Outputs : options.Outputs);
        _norm2 = new GroupNormalization(options.OutputGroups ?? options.Groups, options.Outputs, options.NormEpsilon)
        {
            Activation = options.ScaleShift ? null : options.Activation,
        };
        _dropout = new SeededDropout(options.Dropout);
        _convolution2 = Layers.Convolution(options.Dimensions, options.Outputs, options.Outputs, 3);
        register_module("norm1", _norm1);
        register_module("conv1", _convolution1);
        if (_projection is not null)
            register_module("time_emb_proj", _projection);
        register_module("norm2", _norm2);
        register_module("dropout", _dropout);
        register_module("conv2", _convolution2);
        if (options.Inputs == options.Outputs && !options.ConvolvesShortcut)
            return;
        _shortcut = Layers.Convolution(options.Dimensions, options.Inputs, options.Outputs, 1);
        register_module("conv_shortcut", _shortcut);
    }

    /// <summary>Applies the block without a change of resolution.</summary>
    /// <param name="x">[B, inputs, ...].</param>
    /// <param name="embedding">[B, embedding width]; <see langword="null"/> for a block without an embedding.</param>
    /// <returns>[B, outputs, ...]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">A shape does not match, or an embedding is missing or not expected.</exception>
    public override Tensor forward(Tensor x, Tensor? embedding) => forward(x, embedding, null);

    /// <summary>Applies the block with a change of resolution before the first convolution and in the residual connection.</summary>
    /// <param name="x">[B, inputs, ...].</param>
    /// <param name="embedding">[B, embedding width]; <see langword="null"/> for a block without an embedding.</param>
    /// <param name="resample">
    /// Maps [B, C, ...] to a new tensor, [B, C, ...], at another resolution; <see langword="null"/> to preserve the resolution.
    /// </param>
    /// <returns>[B, outputs, ...]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">A shape does not match, or an embedding is missing or not expected.</exception>
    public Tensor forward(Tensor x, Tensor? embedding, Func<Tensor, Tensor>? resample)
    {
        Layers.CheckImage(x, _options.Dimensions, _options.Inputs, nameof(x));
        if (_options.EmbeddingWidth is { } width)
            Guard.Shape(embedding!, [x.shape[0], width], nameof(embedding));
        else if (embedding is not null)
            throw new ArgumentException("This block takes no embedding, but received one.", nameof(embedding));
        using var scope = NewDisposeScope();
        var hidden = _norm1.call(x);
        var carried = x;
        if (resample is not null)
            (hidden, carried) = (resample(hidden), resample(x));
        hidden = Modulate(_convolution1.call(hidden), embedding);
        if (_options.Dropout > 0)
            hidden = _dropout.call(hidden);
        hidden = _convolution2.call(hidden);
        if (_shortcut is not null)
            carried = _shortcut.call(carried);
        hidden = hidden.Add_(carried);
        return (_options.OutputScale == 1 ? hidden : hidden.Div_(_options.OutputScale)).MoveToOuterDisposeScope();
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context)
        => forward(x, context.Embedding, _options.Resample is { } resample ? image => resample(image, context) : null);

    private Tensor Modulate(Tensor hidden, Tensor? embedding)
    {
        if (_projection is null)
            return _norm2.call(hidden);
        var told = _options.ActivateEmbedding ? _options.Activation.Apply(embedding!) : embedding!;
        var projected = _projection.call(told);
        var image = Layers.Trailing(projected, _options.Dimensions);
        if (!_options.ScaleShift)
            return _norm2.call(hidden.Add_(image));
        var scale = image.narrow(1, 0, _options.Outputs);
        var shift = image.narrow(1, _options.Outputs, _options.Outputs);
        return _options.Activation.Apply(_norm2.call(hidden).mul(scale.Add(1)).Add_(shift));
    }
}

/// <summary>The sizes and choices of a <see cref="ResidualBlock"/>.</summary>
internal sealed record ResidualBlockOptions
{
    /// <summary>The number of spatial dimensions: 1, 2 or 3. The default is 2.</summary>
    public int Dimensions { get; init; } = 2;

    /// <summary>The number of channels of the input.</summary>
    public required int Inputs { get; init; }

    /// <summary>
    /// The number of channels of the output. If it differs from <see cref="Inputs"/>, the residual connection contains a convolution with a
    /// kernel of one pixel.
    /// </summary>
    public required int Outputs { get; init; }

    /// <summary>
    /// The width of the embedding. The default is <see langword="null"/>: a block without an embedding, as in autoencoders.
    /// </summary>
    public int? EmbeddingWidth { get; init; }

    /// <summary>
    /// The number of groups of the first group norm, and of the second one if <see cref="OutputGroups"/> is <see langword="null"/>.
    /// </summary>
    public required int Groups { get; init; }

    /// <summary>
    /// The number of groups of the second group norm. The default is <see langword="null"/>: <see cref="Groups"/>.
    /// </summary>
    public int? OutputGroups { get; init; }

    /// <summary>The epsilon of both group norms. The default is 1e-5.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>The probability of dropout before the second convolution. The default is 0.</summary>
    public double Dropout { get; init; }

    /// <summary>
    /// <see langword="true"/> if the embedding scales and shifts the output of the second norm (Dhariwal and Nichol 2021, "adaptive group
    /// normalisation"), <see langword="false"/> if it is added before that norm (Ho et al. 2020). The default is <see langword="false"/>.
    /// </summary>
    public bool ScaleShift { get; init; }

    /// <summary>
    /// The activation, which must have as many outputs as inputs. The default is <see cref="Activation.Silu"/>.
    /// </summary>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>
    /// Whether the block applies the activation to the embedding before it projects it. The default is <see langword="true"/>. Set it to
    /// <see langword="false"/> if the network activates the embedding once for all blocks.
    /// </summary>
    public bool ActivateEmbedding { get; init; } = true;

    /// <summary>
    /// The divisor of the sum at the end of the block. The default is 1; sqrt(2) preserves the variance of a sum of two terms (Song et al.
    /// 2021, appendix H.1).
    /// </summary>
    public double OutputScale { get; init; } = 1;

    /// <summary>
    /// Whether the residual connection contains a convolution even if the number of channels does not change. The default is
    /// <see langword="false"/>.
    /// </summary>
    public bool ConvolvesShortcut { get; init; }

    /// <summary>
    /// A change of resolution before the first convolution and in the residual connection, which maps [B, C, ...] to a new tensor,
    /// [B, C, ...]. It applies only if the block is a layer of a U-Net, whose context it receives; otherwise, pass a function to
    /// <see cref="ResidualBlock.forward(Tensor, Tensor, Func{Tensor, Tensor})"/>. The default is <see langword="null"/>: no change.
    /// </summary>
    public Func<Tensor, UNetContext, Tensor>? Resample { get; init; }

    /// <summary>Throws if the options are inconsistent.</summary>
    /// <exception cref="ArgumentException">An option is out of range or inconsistent with another.</exception>
    internal void Validate()
    {
        Guard.InRange(Dimensions, 1, 3);
        Guard.Positive(Inputs);
        Guard.Positive(Outputs);
        Guard.Positive(EmbeddingWidth ?? 1, nameof(EmbeddingWidth));
        Guard.Positive(Groups);
        Guard.Positive(OutputScale);
        var outputGroups = Guard.Positive(OutputGroups ?? Groups, nameof(OutputGroups));
        ArgumentNullException.ThrowIfNull(Activation);
        if (Activation.InputsPerOutput != 1)
            throw new ArgumentException(
                Invariant($"{nameof(Activation)} must have one input for each output, got {Activation.InputsPerOutput}."));
        if (Inputs % Groups != 0 || Outputs % outputGroups != 0)
            throw new ArgumentException(
                Invariant($"{Groups} groups must divide the channels, got {Inputs} input channels and {Outputs} output channels")
                + (OutputGroups is null ? "." : Invariant($" in {outputGroups} groups.")));
    }
}
