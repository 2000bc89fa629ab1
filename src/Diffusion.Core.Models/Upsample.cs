using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Raises the resolution by repeating pixels, then a 3x3 convolution.</summary>
/// <remarks>State: <c>conv</c>.</remarks>
public sealed class Upsample : nn.Module<Tensor, Tensor>
{
    private readonly Conv2d _convolution;

    /// <summary>A convolution that keeps the number of channels.</summary>
    /// <param name="channels">C.</param>
    public Upsample(int channels)
        : base(nameof(Upsample))
    {
        Guard.Positive(channels);
        _convolution = Layers.Convolution3x3(channels, channels);
        register_module("conv", _convolution);
    }

    /// <summary>The image at twice the resolution.</summary>
    /// <param name="input">[B, C, H, W].</param>
    /// <returns>[B, C, 2H, 2W]; the caller's.</returns>
    public override Tensor forward(Tensor input)
    {
        Guard.Shape(input, [-1, -1, -1, -1]);
        return forward(input, 2 * input.shape[2], 2 * input.shape[3]);
    }

    /// <summary>The image at a given resolution, for sizes that were odd before they were halved.</summary>
    /// <param name="input">[B, C, H, W].</param>
    /// <param name="height">The height of the result.</param>
    /// <param name="width">The width of the result.</param>
    /// <returns>[B, C, height, width]; the caller's.</returns>
    public Tensor forward(Tensor input, long height, long width)
    {
        using var larger = Resample.Nearest(input, height, width);
        return _convolution.call(larger);
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
