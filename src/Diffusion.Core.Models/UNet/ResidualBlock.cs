using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The standard block of a U-Net: norm, activation, convolution, embedding, norm, activation, dropout, convolution, and the input added
/// back.
/// </summary>
/// <remarks>
/// Source: Ho et al. 2020, appendix B; resampling inside: Brock et al. 2019. State: <c>norm1</c>, <c>conv1</c>, <c>time_emb_proj</c>,
/// <c>norm2</c>, <c>conv2</c> and, where channels change, <c>conv_shortcut</c>. A block without an embedding has no
/// <c>time_emb_proj</c>.
/// The activation after a norm is part of the output of <c>norm1</c> and, without scale and shift, of <c>norm2</c>, which a forward hook
/// receives.
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

    /// <summary>A block of given sizes.</summary>
    /// <exception cref="ArgumentException">A size is not positive, or the groups do not divide the channels.</exception>
    public ResidualBlock(ResidualBlockOptions options)
        : base(nameof(ResidualBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _options = options;
        _norm1 = new GroupNormalization(options.Groups, options.Inputs, options.NormEpsilon) { Activation = options.Activation };
        _convolution1 = Layers.Convolution(options.Dimensions, options.Inputs, options.Outputs, 3);
        if (options.EmbeddingWidth is { } width)
            _projection = nn.Linear(width, options.ScaleShift ? 2 * options.Outputs : options.Outputs);
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

    /// <summary>The block at the resolution of its input.</summary>
    /// <param name="x">[B, inputs, ...].</param>
    /// <param name="embedding">[B, embedding width]; <see langword="null"/> for a block without an embedding.</param>
    /// <returns>[B, outputs, ...]. The caller must dispose the returned tensor.</returns>
    public override Tensor forward(Tensor x, Tensor? embedding) => forward(x, embedding, null);

    /// <summary>The block with a change of resolution before its first convolution and on the way around.</summary>
    /// <param name="x">[B, inputs, ...].</param>
    /// <param name="embedding">[B, embedding width]; <see langword="null"/> for a block without an embedding.</param>
    /// <param name="resample">From [B, C, ...] to [B, C, ...] as a new tensor, or null to keep the resolution.</param>
    /// <returns>[B, outputs, ...]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">A shape does not fit.</exception>
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
    /// <summary>The number of sizes of an image: 1, 2 or 3. 2 by default.</summary>
    public int Dimensions { get; init; } = 2;

    /// <summary>Channels that come in.</summary>
    public required int Inputs { get; init; }

    /// <summary>Channels that go out; where they differ, a convolution of one pixel carries the input over.</summary>
    public required int Outputs { get; init; }

    /// <summary>The width of the embedding; the default, <see langword="null"/>, is for a block without one, as in autoencoders.</summary>
    public int? EmbeddingWidth { get; init; }

    /// <summary>Groups of the first group norm, and of the second where <see cref="OutputGroups"/> is null.</summary>
    public required int Groups { get; init; }

    /// <summary>Groups of the second group norm; <see cref="Groups"/> by default.</summary>
    public int? OutputGroups { get; init; }

    /// <summary>The epsilon of both group norms. 1e-5 by default.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>The probability of dropout before the second convolution. 0 by default.</summary>
    public double Dropout { get; init; }

    /// <summary>
    /// True when the embedding scales and shifts the second norm (Dhariwal and Nichol 2021, "adaptive group normalisation"), false when
    /// it is added between the convolutions (Ho et al. 2020). False by default.
    /// </summary>
    public bool ScaleShift { get; init; }

    /// <summary>The nonlinearity, with as many outputs as inputs. <see cref="Activation.Silu"/> by default.</summary>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>Activate the embedding before it is projected. On by default; off where that is done once for all blocks.</summary>
    public bool ActivateEmbedding { get; init; } = true;

    /// <summary>
    /// What the sum of input and image is divided by. 1 by default; sqrt(2) keeps the variance of a sum of two (Song et al. 2021,
    /// appendix H.1).
    /// </summary>
    public double OutputScale { get; init; } = 1;

    /// <summary>True for a convolution that carries the input over even where the channels stay. Off by default.</summary>
    public bool ConvolvesShortcut { get; init; }

    /// <summary>
    /// A change of resolution before the first convolution and on the way around: from [B, C, ...] to a new tensor [B, C, ...]. Null, the
    /// default, to keep it. The context is that of the U-Net; blocks elsewhere have none, and resample as
    /// <see cref="ResidualBlock.forward(Tensor, Tensor, Func{Tensor, Tensor})"/> describes.
    /// </summary>
    public Func<Tensor, UNetContext, Tensor>? Resample { get; init; }

    /// <summary>Throws for options that do not fit each other.</summary>
    /// <exception cref="ArgumentException">The first that does not.</exception>
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
            throw new ArgumentException($"{nameof(Activation)} must take one input for each output, got {Activation.InputsPerOutput}.");
        if (Inputs % Groups != 0 || Outputs % outputGroups != 0)
            throw new ArgumentException(
                $"{Groups} groups must divide the channels, got {Inputs} in and {Outputs} out"
                + (OutputGroups is null ? "." : $" in {outputGroups}."));
    }
}
