using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The decoder of <see cref="AutoencoderKL"/> and <see cref="VQModel"/>: convolution, middle stage, levels, norm, SiLU, convolution.
/// </summary>
/// <remarks>
/// Source: Esser et al. 2021, table 7; norms conditioned on the code: Zheng et al. 2022. State: <c>conv_in</c>, <c>mid_block</c>,
/// <c>up_blocks</c>, <c>conv_norm_out</c>, <c>conv_out</c>.
/// </remarks>
internal sealed class ImageDecoder : NamedModule<Tensor, Tensor>
{
    private readonly ConvolutionalBody _body;
    private readonly HostLayout _layout;
    private readonly bool _spatialNorm;
    private readonly Conv2d _convolutionIn;
    private readonly AutoencoderStage _middle;
    private readonly ModuleList<AutoencoderStage> _levels = new();
    private readonly nn.Module _normOut;
    private readonly Conv2d _convolutionOut;

    /// <summary>Creates a decoder with random weights, on the CPU, in float32.</summary>
    /// <param name="body">The architecture.</param>
    /// <param name="outputsPerValue">k: 1 for images, 2 for the mean and the log variance of images. The default is 1.</param>
    /// <param name="spatialNorm">
    /// Whether the norms are conditioned on the code. If they are, the widths must be multiples of 32. The default is
    /// <see langword="false"/>.
    /// </param>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public ImageDecoder(ConvolutionalBody body, int outputsPerValue = 1, bool spatialNorm = false)
        : base(nameof(ImageDecoder))
    {
        ArgumentNullException.ThrowIfNull(body);
        body.Validate();
        if (spatialNorm && body.Widths.FirstOrDefault(width => width % SpatialNorm.Groups != 0) is > 0 and var odd)
            throw new ArgumentException(
                Invariant($"Spatial norms need widths that are multiples of {SpatialNorm.Groups}, got {odd}."),
                nameof(body));
        (_body, _spatialNorm, _layout) = (body, spatialNorm, new HostLayout(body.Widths));
        int? codeChannels = spatialNorm ? body.LatentChannels : null;
        var outputs = Layers.Size(Guard.Positive(outputsPerValue), body.OutChannels ?? body.Channels);
        _convolutionIn = Layers.Convolution3x3(body.LatentChannels, body.Widths[^1]);
        _middle = AutoencoderStage.Middle(body, codeChannels);
        for (var level = body.Widths.Count - 1; level >= 0; level--)
            _levels.Add(AutoencoderStage.Decoder(body, level, codeChannels));
        _normOut = spatialNorm
            ? new SpatialNorm(body.Widths[0], body.LatentChannels)
            : new GroupNormalization(body.Groups, body.Widths[0], AutoencoderStage.NormEpsilon) { Activation = Activation.Silu };
        _convolutionOut = Layers.Convolution3x3(body.Widths[0], outputs);
        register_module("conv_in", _convolutionIn);
        register_module("mid_block", _middle);
        register_module("up_blocks", _levels);
        register_module("conv_norm_out", _normOut);
        register_module("conv_out", _convolutionOut);
    }

    /// <summary>Decodes codes to images. If the decoder has spatial norms, the codes also condition the norms.</summary>
    /// <param name="input">[B, C, h, w] codes.</param>
    /// <returns>[B, k channels, f h, f w]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape or type does not match.</exception>
    public override Tensor forward(Tensor input) => forward(input, input);

    /// <summary>Decodes codes to images, with separate codes for the norms.</summary>
    /// <param name="input">[B, C, h, w] codes.</param>
    /// <param name="code">[B, C, h, w] the codes that condition the norms; ignored if the decoder has no spatial norms.</param>
    /// <returns>[B, k channels, f h, f w]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape or type does not match.</exception>
    public Tensor forward(Tensor input, Tensor code)
    {
        Guard.Shape(input, [-1, _body.LatentChannels, -1, -1]);
        Guard.SameType(_convolutionIn.weight, input);
        if (_spatialNorm)
            Guard.Shape(code, [input.shape[0], _body.LatentChannels, -1, -1]);
        using var scope = NewDisposeScope();
        var hidden = _layout.Enter(_convolutionIn, input);
        foreach (var stage in _levels.Prepend(_middle))
        {
            using var before = hidden;
            hidden = stage.call(before, _spatialNorm ? code : null);
        }

        var normed = _normOut is SpatialNorm spatial
            ? nn.functional.silu(spatial.call(hidden, code))
            : ((GroupNormalization)_normOut).call(hidden);
        return _layout.Leave(_convolutionOut, normed).MoveToOuterDisposeScope();
    }
}
