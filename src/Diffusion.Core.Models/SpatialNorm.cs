using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A group norm that the code of an image scales and shifts, place by place: <c>norm(x) y(code) + b(code)</c>.</summary>
/// <remarks>Source: Zheng et al. 2022 (MoVQ), eq. 4. State: <c>norm_layer</c>, <c>conv_y</c>, <c>conv_b</c>.</remarks>
internal sealed class SpatialNorm : nn.Module<Tensor, Tensor, Tensor>
{
    /// <summary>The number of groups, as in diffusers: there is no option for it.</summary>
    public const int Groups = 32;

    private readonly GroupNormalization _norm;
    private readonly Conv2d _scale;
    private readonly Conv2d _shift;

    /// <summary>A norm over a multiple of <see cref="Groups"/> channels.</summary>
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

    /// <summary>[B, C, H, W] from the same and a code [B, Z, h, w].</summary>
    public override Tensor forward(Tensor x, Tensor code)
    {
        using var scope = NewDisposeScope();
        var larger = Resample.Nearest(code, x.shape[2], x.shape[3]);
        return _norm.call(x).mul(_scale.call(larger)).Add_(_shift.call(larger)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
