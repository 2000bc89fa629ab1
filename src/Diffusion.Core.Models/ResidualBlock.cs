using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The block a U-Net is made of: norm, activation, convolution, embedding, norm, activation, dropout, convolution, and the input added
/// back.
/// </summary>
/// <remarks>
/// Source: Ho et al. 2020, appendix B; resampling inside: Brock et al. 2019. State: <c>norm1</c>, <c>conv1</c>, <c>time_emb_proj</c>,
/// <c>norm2</c>, <c>conv2</c> and, where channels change, <c>conv_shortcut</c>. A block without an embedding has no
/// <c>time_emb_proj</c>.
/// The activation after a norm is part of the output of <c>norm1</c> and, without scale and shift, of <c>norm2</c>, which a forward hook
/// receives.
/// </remarks>
public sealed class ResidualBlock : nn.Module<Tensor, Tensor?, Tensor>, IUNetLayer
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
    /// <param name="embedding">[B, embedding width]; null for a block that is told nothing.</param>
    /// <returns>[B, outputs, ...]; the caller's.</returns>
    public override Tensor forward(Tensor x, Tensor? embedding) => forward(x, embedding, null);

    /// <summary>The block with a change of resolution before its first convolution and on the way around.</summary>
    /// <param name="x">[B, inputs, ...].</param>
    /// <param name="embedding">[B, embedding width]; null for a block that is told nothing.</param>
    /// <param name="resample">From [B, C, ...] to [B, C, ...] as a new tensor, or null to keep the resolution.</param>
    /// <returns>[B, outputs, ...]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape does not fit.</exception>
    public Tensor forward(Tensor x, Tensor? embedding, Func<Tensor, Tensor>? resample)
    {
        Layers.CheckImage(x, _options.Dimensions, _options.Inputs, nameof(x));
        if (_options.EmbeddingWidth is { } width)
            Guard.Shape(embedding!, [x.shape[0], width], nameof(embedding));
        else if (embedding is not null)
            throw new ArgumentException("This block is told nothing, but got an embedding.", nameof(embedding));
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

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }

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
