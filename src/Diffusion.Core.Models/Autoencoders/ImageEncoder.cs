using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The encoder of <see cref="AutoencoderKL"/> and <see cref="VQModel"/>: convolution, levels, middle stage, norm, SiLU, convolution.
/// </summary>
/// <remarks>
/// Source: Esser et al. 2021, table 7. State: <c>conv_in</c>, <c>down_blocks</c>, <c>mid_block</c>, <c>conv_norm_out</c>, <c>conv_out</c>.
/// </remarks>
internal sealed class ImageEncoder : NamedModule<Tensor, Tensor>
{
    private readonly ConvolutionalBody _body;
    private readonly HostLayout _layout;
    private readonly Conv2d _convolutionIn;
    private readonly ModuleList<AutoencoderStage> _levels = new();
    private readonly AutoencoderStage _middle;
    private readonly GroupNormalization _normOut;
    private readonly Conv2d _convolutionOut;

    /// <summary>Creates an encoder with random weights, on the CPU, in float32.</summary>
    /// <param name="body">The architecture.</param>
    /// <param name="outputsPerFeature">k: 1 for codes, 2 for the mean and the log variance of codes. The default is 1.</param>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public ImageEncoder(ConvolutionalBody body, int outputsPerFeature = 1)
        : base(nameof(ImageEncoder))
    {
        ArgumentNullException.ThrowIfNull(body);
        body.Validate();
        (_body, _layout) = (body, new HostLayout(body.Widths));
        var lowest = body.Widths[^1];
        _convolutionIn = Layers.Convolution3x3(body.Channels, body.Widths[0]);
        for (var level = 0; level < body.Widths.Count; level++)
            _levels.Add(AutoencoderStage.Encoder(body, level));
        _middle = AutoencoderStage.Middle(body, codeChannels: null);
        _normOut = new GroupNormalization(body.Groups, lowest, AutoencoderStage.NormEpsilon) { Activation = Activation.Silu };
        _convolutionOut = Layers.Convolution3x3(lowest, Layers.Size(Guard.Positive(outputsPerFeature), body.LatentChannels));
        register_module("conv_in", _convolutionIn);
        register_module("down_blocks", _levels);
        register_module("mid_block", _middle);
        register_module("conv_norm_out", _normOut);
        register_module("conv_out", _convolutionOut);
    }

    /// <summary>Encodes images.</summary>
    /// <param name="input">[B, channels, H, W] images, each side at least f.</param>
    /// <returns>[B, k C, H / f, W / f], with the sides rounded down. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape or type does not match.</exception>
    public override Tensor forward(Tensor input)
    {
        Guard.Shape(input, [-1, _body.Channels, -1, -1]);
        Guard.SameType(_convolutionIn.weight, input);
        if (Math.Min(input.shape[2], input.shape[3]) < _body.Reduction)
            throw new ArgumentException(
                Invariant($"{nameof(input)} must be at least {_body.Reduction} pixels high and wide, got {Guard.Format(input.shape)}."),
                nameof(input));
        using var scope = NewDisposeScope();
        var hidden = _layout.Enter(_convolutionIn, input);
        foreach (var stage in _levels.Append(_middle))
        {
            using var before = hidden;
            hidden = stage.call(before, null);
        }

        return _layout.Leave(_convolutionOut, _normOut.call(hidden)).MoveToOuterDisposeScope();
    }
}
