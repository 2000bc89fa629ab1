using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A group norm whose output is scaled and shifted at each pixel by functions of the code of the image: <c>norm(x) y(code) + b(code)</c>.
/// </summary>
/// <remarks>Source: Zheng et al. 2022 (MoVQ), eq. 4. State: <c>norm_layer</c>, <c>conv_y</c>, <c>conv_b</c>.</remarks>
internal sealed class SpatialNorm : NamedModule<Tensor, Tensor, Tensor>
{
    /// <summary>The number of groups: 32, as in diffusers.</summary>
    public const int Groups = 32;

    private readonly GroupNormalization _norm;
    private readonly Conv2d _scale;
    private readonly Conv2d _shift;

    /// <summary>Creates a norm.</summary>
    /// <param name="channels">C, the number of channels, a multiple of <see cref="Groups"/>.</param>
    /// <param name="codeChannels">Z, the number of channels of the code.</param>
    public SpatialNorm(int channels, int codeChannels)
        : base(nameof(SpatialNorm))
    {
        _norm = new GroupNormalization(Groups, channels, AutoencoderStage.NormEpsilon);
        _scale = Layers.Conv2d(codeChannels, channels, 1L);
        _shift = Layers.Conv2d(codeChannels, channels, 1L);
        register_module("norm_layer", _norm);
        register_module("conv_y", _scale);
        register_module("conv_b", _shift);
    }

    /// <summary>Maps [B, C, H, W] and a code, [B, Z, h, w], to [B, C, H, W]. The caller must dispose the returned tensor.</summary>
    public override Tensor forward(Tensor x, Tensor code)
    {
        using var scope = NewDisposeScope();
        var larger = Resample.Nearest(code, x.shape[2], x.shape[3]);
        return _norm.call(x).mul(_scale.call(larger)).Add_(_shift.call(larger)).MoveToOuterDisposeScope();
    }
}

/// <summary>
/// A residual block whose norms are conditioned on the code. State: <c>norm1</c>, <c>conv1</c>, <c>norm2</c>, <c>conv2</c> and, if the
/// numbers of input and output channels differ, <c>conv_shortcut</c>.
/// </summary>
internal sealed class SpatialResidualBlock : NamedModule<Tensor, Tensor, Tensor>
{
    private readonly SpatialNorm _norm1;
    private readonly Conv2d _convolution1;
    private readonly SpatialNorm _norm2;
    private readonly Conv2d _convolution2;
    private readonly Conv2d? _shortcut;
    private readonly Activation _activation;

    /// <summary>Creates a block of given sizes.</summary>
    public SpatialResidualBlock(int inputs, int outputs, int codeChannels, Activation activation)
        : base(nameof(SpatialResidualBlock))
    {
        _activation = activation;
        register_module("norm1", _norm1 = new SpatialNorm(inputs, codeChannels));
        register_module("conv1", _convolution1 = Layers.Convolution3x3(inputs, outputs));
        register_module("norm2", _norm2 = new SpatialNorm(outputs, codeChannels));
        register_module("conv2", _convolution2 = Layers.Convolution3x3(outputs, outputs));
        if (inputs != outputs)
            register_module("conv_shortcut", _shortcut = Layers.Conv2d(inputs, outputs, 1L));
    }

    /// <summary>Maps [B, inputs, H, W] and a code, [B, Z, h, w], to [B, outputs, H, W]. The caller must dispose the tensor.</summary>
    public override Tensor forward(Tensor x, Tensor code)
    {
        using var scope = NewDisposeScope();
        var hidden = _convolution1.call(_activation.Apply(_norm1.call(x, code)));
        hidden = _convolution2.call(_activation.Apply(_norm2.call(hidden, code)));
        return hidden.Add_(_shortcut is null ? x : _shortcut.call(x)).MoveToOuterDisposeScope();
    }
}

/// <summary>
/// Single-head self-attention over the pixels of an image, with a norm that is conditioned on the code. State: <c>spatial_norm</c>,
/// <c>to_q</c>, <c>to_k</c>, <c>to_v</c>, <c>to_out.0</c>.
/// </summary>
internal sealed class SpatialAttention2d : NamedModule<Tensor, Tensor, Tensor>
{
    private readonly SpatialNorm _norm;
    private readonly MultiHeadAttention _attention;

    /// <summary>Creates a layer of given sizes.</summary>
    public SpatialAttention2d(int channels, int codeChannels)
        : base(nameof(SpatialAttention2d))
    {
        _norm = new SpatialNorm(channels, codeChannels);
        _attention = new(new MultiHeadAttentionOptions { Width = channels, Heads = 1, HeadWidth = channels });
        register_module("spatial_norm", _norm);
        foreach (var (name, part) in _attention.named_children())
            register_module(name, part);
    }

    /// <summary>Maps [B, C, H, W] and a code, [B, Z, h, w], to [B, C, H, W]. The caller must dispose the returned tensor.</summary>
    public override Tensor forward(Tensor x, Tensor code)
    {
        using var scope = NewDisposeScope();
        var pixels = Layers.Pixels(_norm.call(x, code));
        return x.Add(Layers.Image(_attention.call(pixels, null, null), x)).MoveToOuterDisposeScope();
    }
}
