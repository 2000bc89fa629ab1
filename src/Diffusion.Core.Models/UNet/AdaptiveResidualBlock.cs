using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A residual block in which the embedding scales and shifts the output of both norms. No embedding is added between the convolutions.
/// </summary>
/// <remarks>
/// Source: Dhariwal and Nichol 2021, section 3.3. State: <c>norm1.linear</c>, <c>conv1</c>, <c>norm2.linear</c>, <c>conv2</c> and, if the
/// number of channels changes, <c>conv_shortcut</c>, which has no bias.
/// </remarks>
internal sealed class AdaptiveResidualBlock : NamedModule<Tensor, Tensor, Tensor>, IUNetLayer
{
    private readonly ResidualBlockOptions _options;
    private readonly AdaptiveGroupNorm _norm1;
    private readonly Convolution _convolution1;
    private readonly AdaptiveGroupNorm _norm2;
    private readonly SeededDropout _dropout;
    private readonly Convolution _convolution2;
    private readonly Convolution? _shortcut;

    /// <summary>Creates a block.</summary>
    /// <param name="options">The sizes and options of the block, which must include the width of the embedding.</param>
    /// <exception cref="ArgumentException">
    /// An option is out of range, the groups do not divide the channels, or there is no embedding width.
    /// </exception>
    public AdaptiveResidualBlock(ResidualBlockOptions options)
        : base(nameof(AdaptiveResidualBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _options = options;
        var width = options.EmbeddingWidth
            ?? throw new ArgumentException("Adaptive group norms need an embedding width, got none.", nameof(options));
        _norm1 = new AdaptiveGroupNorm(width, options.Inputs, options.Groups, options.NormEpsilon);
        _convolution1 = Layers.Convolution(options.Dimensions, options.Inputs, options.Outputs, 3);
        _norm2 = new AdaptiveGroupNorm(width, options.Outputs, options.OutputGroups ?? options.Groups, options.NormEpsilon);
        _dropout = new SeededDropout(options.Dropout);
        _convolution2 = Layers.Convolution(options.Dimensions, options.Outputs, options.Outputs, 3);
        register_module("norm1", _norm1);
        register_module("conv1", _convolution1);
        register_module("norm2", _norm2);
        register_module("dropout", _dropout);
        register_module("conv2", _convolution2);
        if (options.Inputs == options.Outputs)
            return;
        _shortcut = Layers.Convolution(options.Dimensions, options.Inputs, options.Outputs, 1, bias: false);
        register_module("conv_shortcut", _shortcut);
    }

    /// <summary>Applies the block.</summary>
    /// <param name="x">[B, inputs, ...].</param>
    /// <param name="embedding">[B, embedding width].</param>
    /// <returns>[B, outputs, ...]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">A shape does not match.</exception>
    public override Tensor forward(Tensor x, Tensor embedding)
    {
        Layers.CheckImage(x, _options.Dimensions, _options.Inputs, nameof(x));
        Guard.Shape(embedding, [x.shape[0], _options.EmbeddingWidth!.Value]);
        using var scope = NewDisposeScope();
        var hidden = _convolution1.call(_options.Activation.Apply(_norm1.call(x, embedding)));
        hidden = _dropout.call(_options.Activation.Apply(_norm2.call(hidden, embedding)));
        hidden = _convolution2.call(hidden).Add_(_shortcut is null ? x : _shortcut.call(x));
        return (_options.OutputScale == 1 ? hidden : hidden.Div_(_options.OutputScale)).MoveToOuterDisposeScope();
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context) => call(x, context.Embedding);
}

/// <summary>
/// A group norm without learned parameters. A linear layer maps the embedding to a scale and a shift for each channel:
/// <c>norm(x) (1 + scale) + shift</c>.
/// </summary>
/// <remarks>Source: Dhariwal and Nichol 2021, section 3.3. State: <c>linear</c>.</remarks>
internal sealed class AdaptiveGroupNorm : NamedModule<Tensor, Tensor, Tensor>
{
    private readonly int _channels;
    private readonly int _groups;
    private readonly double _epsilon;
    private readonly Linear _linear;

    /// <summary>Creates a norm of given sizes.</summary>
    /// <param name="embeddingWidth">The width of the embedding.</param>
    /// <param name="channels">C, the number of channels.</param>
    /// <param name="groups">The number of groups, which must divide C.</param>
    /// <param name="epsilon">The epsilon of the norm. The default is 1e-5.</param>
    /// <exception cref="ArgumentException">A size is not positive, or the groups do not divide the channels.</exception>
    public AdaptiveGroupNorm(int embeddingWidth, int channels, int groups, double epsilon = 1e-5)
        : base(nameof(AdaptiveGroupNorm))
    {
        Guard.Positive(embeddingWidth);
        (_channels, _groups, _epsilon) = (Guard.Positive(channels), Guard.Positive(groups), Guard.Positive(epsilon));
        if (channels % groups != 0)
            throw new ArgumentException(Invariant($"The groups must divide the {channels} channels, got {groups}."), nameof(groups));
        register_module("linear", _linear = Layers.Linear(embeddingWidth, Layers.Size(2, channels)));
    }

    /// <summary>Normalizes an image, and scales and shifts the result.</summary>
    /// <param name="x">[B, C, ...].</param>
    /// <param name="embedding">[B, embedding width].</param>
    /// <returns>[B, C, ...]. The caller must dispose the returned tensor.</returns>
    public override Tensor forward(Tensor x, Tensor embedding)
    {
        using var scope = NewDisposeScope();
        var told = Layers.Trailing(_linear.call(embedding), (int)x.dim() - 2);
        var normed = nn.functional.group_norm(x, _groups, null, null, _epsilon);
        return normed.mul(told.narrow(1, 0, _channels).Add(1)).Add_(told.narrow(1, _channels, _channels)).MoveToOuterDisposeScope();
    }
}
