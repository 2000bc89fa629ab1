using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The change of resolution at the end of a level.</summary>
public abstract record UNetResampling
{
    /// <summary>A new layer that halves the resolution and keeps the channels; a <c>nn.Module</c>.</summary>
    public abstract IUNetLayer Down(UNetPlace place);

    /// <summary>
    /// A new layer that raises the resolution to that of the image on top of <see cref="UNetContext.Skips"/>; a <c>nn.Module</c>.
    /// </summary>
    public abstract IUNetLayer Up(UNetPlace place);

    /// <summary>The side of an image after halving; rounded down by default.</summary>
    public virtual long Halve(long side) => side / 2;

    /// <summary>A convolution of stride 2 down; repeated pixels and a convolution up (Ho et al. 2020).</summary>
    /// <param name="padding">
    /// 1 pads every side and an odd size is rounded up; 0 pads right and below only, as the code of Ho et al. does.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The padding is neither 0 nor 1.</exception>
    public static UNetResampling Convolution(int padding = 1) => new ByConvolution(Guard.InRange(padding, 0, 1));

    /// <summary>Inside a residual block: mean of pixels down, repeated pixels up (Brock et al. 2019; Dhariwal and Nichol 2021).</summary>
    public static UNetResampling Residual { get; } = new ByResidualBlock();

    internal sealed record ByConvolution(int Padding) : UNetResampling
    {
        public override IUNetLayer Down(UNetPlace place) => new Downsample(place.Width, Padding, place.Network.Dimensions);

        public override IUNetLayer Up(UNetPlace place) => new Upsample(place.Width, place.Network.Dimensions);

        public override long Halve(long side) => (side + Padding) / 2;
    }

    internal sealed record ByResidualBlock : UNetResampling
    {
        public override IUNetLayer Down(UNetPlace place)
            => new ResidualBlock(place.Residual(place.Width, place.Width) with { Resample = (image, _) => Resample.Halve(image) });

        public override IUNetLayer Up(UNetPlace place)
            => new ResidualBlock(place.Residual(place.Width, place.Width) with
            {
                Resample = (image, context) => Resample.Nearest(image, context.NextSize()),
            });
    }
}

/// <summary>Halves the resolution with a convolution of three pixels and stride 2.</summary>
/// <remarks>State: <c>conv</c>.</remarks>
internal sealed class Downsample : NamedModule<Tensor, Tensor>, IUNetLayer
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
    /// <returns>
    /// [B, C, ...] with half the sizes, rounded up for padding 1 and down for padding 0. The caller must dispose the returned tensor.
    /// </returns>
    public override Tensor forward(Tensor input)
    {
        if (_padding is null)
            return _convolution.call(input);
        using var padded = nn.functional.pad(input, _padding);
        return _convolution.call(padded);
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context) => call(x);
}

/// <summary>Raises the resolution by repeating pixels, then a convolution of three pixels.</summary>
/// <remarks>State: <c>conv</c>.</remarks>
internal sealed class Upsample : NamedModule<Tensor, Tensor>, IUNetLayer
{
    private readonly int _dimensions;
    private readonly Convolution _convolution;

    /// <summary>A convolution that keeps the number of channels.</summary>
    /// <param name="channels">C.</param>
    /// <param name="dimensions">The number of sizes of an image: 1, 2 or 3.</param>
    public Upsample(int channels, int dimensions = 2)
        : base(nameof(Upsample))
    {
        Guard.Positive(channels);
        _dimensions = Guard.InRange(dimensions, 1, 3);
        _convolution = Layers.Convolution(dimensions, channels, channels, 3);
        register_module("conv", _convolution);
    }

    /// <summary>The image at twice the resolution.</summary>
    /// <param name="input">[B, C, ...].</param>
    /// <returns>[B, C, ...] with twice the sizes. The caller must dispose the returned tensor.</returns>
    public override Tensor forward(Tensor input)
    {
        Layers.CheckImage(input, _dimensions, -1, nameof(input));
        return forward(input, [.. input.shape[2..].Select(side => 2 * side)]);
    }

    /// <summary>The image at a given resolution, for sizes that were odd before they were halved.</summary>
    /// <param name="input">[B, C, ...].</param>
    /// <param name="size">The sizes of the result, such as height and width.</param>
    /// <returns>[B, C, size]. The caller must dispose the returned tensor.</returns>
    public Tensor forward(Tensor input, params long[] size)
    {
        using var larger = Resample.Nearest(input, size);
        return _convolution.call(larger);
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context) => forward(x, context.NextSize());
}

/// <summary>Changes of resolution without parameters, for images with one, two or three sizes.</summary>
public static class Resample
{
    /// <summary>Repeats pixels.</summary>
    /// <param name="x">[B, C, ...].</param>
    /// <param name="size">The sizes of the result, as many as x has.</param>
    /// <returns>[B, C, size]. The caller must dispose the returned tensor.</returns>
    public static Tensor Nearest(Tensor x, params long[] size)
    {
        CheckRank(x);
        ArgumentNullException.ThrowIfNull(size);
        if (size.Length != x.dim() - 2 || size.Any(side => side < 1))
            throw new ArgumentException($"size must be {x.dim() - 2} positive numbers, got {Guard.Format(size)}.", nameof(size));
        return nn.functional.interpolate(x, size: size, mode: InterpolationMode.Nearest);
    }

    /// <summary>Averages pairs of pixels along each size, dropping an odd one at the end.</summary>
    /// <param name="x">[B, C, ...], each size at least 2.</param>
    /// <returns>[B, C, ...] with half the sizes. The caller must dispose the returned tensor.</returns>
    public static Tensor Halve(Tensor x)
    {
        CheckRank(x);
        return x.dim() switch
        {
            3 => nn.functional.avg_pool1d(x, 2L),
            4 => nn.functional.avg_pool2d(x, [2L, 2L]),
            _ => nn.functional.avg_pool3d(x, [2L, 2L, 2L]),
        };
    }

    private static void CheckRank(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() is < 3 or > 5)
            throw new ArgumentException($"x must be [B, C, ...] with one to three sizes, got shape {Guard.Format(x.shape)}.", nameof(x));
    }
}
