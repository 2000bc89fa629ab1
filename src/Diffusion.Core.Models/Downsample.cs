using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Halves the resolution with a 3x3 convolution of stride 2.</summary>
/// <remarks>State: <c>conv</c>.</remarks>
public sealed class Downsample : nn.Module<Tensor, Tensor>
{
    private readonly Conv2d _convolution;
    private readonly int _padding;

    /// <summary>A convolution that keeps the number of channels.</summary>
    /// <param name="channels">C.</param>
    /// <param name="padding">
    /// 1 pads every side, and an odd size is rounded up. 0 pads only right and below, as the original DDPM code does, and an odd size is
    /// rounded down.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The padding is neither 0 nor 1.</exception>
    public Downsample(int channels, int padding = 1)
        : base(nameof(Downsample))
    {
        Guard.Positive(channels);
        _padding = Guard.InRange(padding, 0, 1);
        _convolution = nn.Conv2d(channels, channels, 3L, stride: 2L, padding: padding);
        register_module("conv", _convolution);
    }

    /// <summary>The image at half the resolution.</summary>
    /// <param name="input">[B, C, H, W], at least 2 by 2 where the padding is 0.</param>
    /// <returns>[B, C, H/2, W/2], rounded up for padding 1 and down for padding 0; the caller's.</returns>
    public override Tensor forward(Tensor input)
    {
        if (_padding == 1)
            return _convolution.call(input);
        using var padded = nn.functional.pad(input, [0L, 1L, 0L, 1L]);
        return _convolution.call(padded);
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
