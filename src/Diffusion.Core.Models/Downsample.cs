using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Halves the resolution with a convolution of three pixels and stride 2.</summary>
/// <remarks>State: <c>conv</c>.</remarks>
public sealed class Downsample : nn.Module<Tensor, Tensor>, IUNetLayer
{
    private readonly Convolution _convolution;
    private readonly long[]? _padding;

    /// <summary>A convolution that keeps the number of channels.</summary>
    /// <param name="channels">C.</param>
    /// <param name="padding">
    /// 1 pads every side, and an odd size is rounded up. 0 pads only right and below, as the original DDPM code does, and an odd size is
    /// rounded down.
    /// </param>
    /// <param name="dimensions">The number of sizes of an image: 1, 2 or 3.</param>
    /// <exception cref="ArgumentOutOfRangeException">The padding is neither 0 nor 1, or the dimensions are not 1 to 3.</exception>
    public Downsample(int channels, int padding = 1, int dimensions = 2)
        : base(nameof(Downsample))
    {
        Guard.Positive(channels);
        Guard.InRange(padding, 0, 1);
        Guard.InRange(dimensions, 1, 3);
        if (padding == 0)
            _padding = [.. Enumerable.Repeat((long[])[0L, 1L], dimensions).SelectMany(sides => sides)];
        _convolution = Layers.Convolution(dimensions, channels, channels, 3, 2, padding);
        register_module("conv", _convolution);
    }

    /// <summary>The image at half the resolution.</summary>
    /// <param name="input">[B, C, ...], at least 2 pixels along each size where the padding is 0.</param>
    /// <returns>[B, C, ...] with half the sizes, rounded up for padding 1 and down for padding 0; the caller's.</returns>
    public override Tensor forward(Tensor input)
    {
        if (_padding is null)
            return _convolution.call(input);
        using var padded = nn.functional.pad(input, _padding);
        return _convolution.call(padded);
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context) => call(x);

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
