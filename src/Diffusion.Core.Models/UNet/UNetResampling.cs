using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The method by which the resolution changes at the end of a level. Derive from it for a custom method.</summary>
public abstract record UNetResampling
{
    /// <summary>
    /// Creates a layer that halves the resolution and preserves the number of channels. The layer must also be an <c>nn.Module</c>.
    /// </summary>
    /// <param name="place">The position of the level in the network, and its widths.</param>
    public abstract IUNetLayer Down(UNetPlace place);

    /// <summary>
    /// Creates a layer that increases the resolution to <see cref="UNetContext.NextSize"/>, that of the next skip connection. The layer
    /// must also be an <c>nn.Module</c>.
    /// </summary>
    /// <param name="place">The position of the level in the network, and its widths.</param>
    public abstract IUNetLayer Up(UNetPlace place);

    /// <summary>Returns the side of an image after the layer has halved it. The default rounds down.</summary>
    /// <param name="side">The side in pixels.</param>
    public virtual long Halve(long side) => side / 2;

    /// <summary>
    /// Returns resampling by convolutions: a convolution with stride 2 halves the resolution; nearest-neighbor interpolation and a
    /// convolution increase it (Ho et al. 2020).
    /// </summary>
    /// <param name="padding">
    /// The padding of the convolution with stride 2. 1 pads every side, and odd sizes are rounded up. 0 pads only on the right and at the
    /// bottom, as in the code of Ho et al., and odd sizes are rounded down. The default is 1.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The padding is not 0 or 1.</exception>
    public static UNetResampling Convolution(int padding = 1) => new ByConvolution(Guard.InRange(padding, 0, 1));

    /// <summary>
    /// Resampling inside a residual block: average pooling halves the resolution, and nearest-neighbor interpolation increases it (Brock et
    /// al. 2019; Dhariwal and Nichol 2021).
    /// </summary>
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

/// <summary>Halves the resolution by a convolution with kernel size 3 and stride 2.</summary>
/// <remarks>State: <c>conv</c>.</remarks>
internal sealed class Downsample : NamedModule<Tensor, Tensor>, IUNetLayer
{
    private readonly Convolution _convolution;
    private readonly long[]? _padding;

    /// <summary>Creates a layer that preserves the number of channels.</summary>
    /// <param name="channels">C, the number of channels.</param>
    /// <param name="padding">
    /// 1 pads every side, and odd sizes are rounded up. 0 pads only on the right and at the bottom, as in the code of Ho et al., and odd
    /// sizes are rounded down. The default is 1.
    /// </param>
    /// <param name="dimensions">The number of spatial dimensions: 1, 2 or 3. The default is 2.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// The number of channels is not positive, the padding is not 0 or 1, or the number of dimensions is not 1, 2 or 3.
    /// </exception>
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

    /// <summary>Halves the resolution of an image.</summary>
    /// <param name="input">[B, C, ...], with sizes of at least 2 if the padding is 0.</param>
    /// <returns>
    /// [B, C, ...] at half the resolution, rounded up for padding 1 and down for padding 0. The caller must dispose the returned tensor.
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

/// <summary>Increases the resolution by nearest-neighbor interpolation and a convolution with kernel size 3.</summary>
/// <remarks>State: <c>conv</c>.</remarks>
internal sealed class Upsample : NamedModule<Tensor, Tensor>, IUNetLayer
{
    private readonly int _dimensions;
    private readonly Convolution _convolution;

    /// <summary>Creates a layer that preserves the number of channels.</summary>
    /// <param name="channels">C, the number of channels.</param>
    /// <param name="dimensions">The number of spatial dimensions: 1, 2 or 3. The default is 2.</param>
    public Upsample(int channels, int dimensions = 2)
        : base(nameof(Upsample))
    {
        Guard.Positive(channels);
        _dimensions = Guard.InRange(dimensions, 1, 3);
        _convolution = Layers.Convolution(dimensions, channels, channels, 3);
        register_module("conv", _convolution);
    }

    /// <summary>Doubles the resolution of an image.</summary>
    /// <param name="input">[B, C, ...].</param>
    /// <returns>[B, C, ...] at twice the resolution. The caller must dispose the returned tensor.</returns>
    public override Tensor forward(Tensor input)
    {
        Layers.CheckImage(input, _dimensions, -1, nameof(input));
        return forward(input, [.. input.shape[2..].Select(side => 2 * side)]);
    }

    /// <summary>Increases the resolution of an image to given sizes, such as odd sizes before they were halved.</summary>
    /// <param name="input">[B, C, ...].</param>
    /// <param name="size">The spatial sizes of the result, such as height and width.</param>
    /// <returns>[B, C, size]. The caller must dispose the returned tensor.</returns>
    public Tensor forward(Tensor input, params long[] size)
    {
        using var larger = Resample.Nearest(input, size);
        return _convolution.call(larger);
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context) => forward(x, context.NextSize());
}

/// <summary>Functions that change the resolution of signals, images and volumes.</summary>
public static class Resample
{
    /// <summary>Resizes an image by nearest-neighbor interpolation.</summary>
    /// <param name="x">[B, C, ...].</param>
    /// <param name="size">The spatial sizes of the result, one for each spatial dimension of <paramref name="x"/>.</param>
    /// <returns>[B, C, size]. The caller must dispose the returned tensor.</returns>
    public static Tensor Nearest(Tensor x, params long[] size)
    {
        CheckRank(x);
        ArgumentNullException.ThrowIfNull(size);
        if (size.Length != x.dim() - 2 || size.Any(side => side < 1))
            throw new ArgumentException(Invariant($"size must be {x.dim() - 2} positive numbers, got {Guard.Format(size)}."), nameof(size));
        return nn.functional.interpolate(x, size: size, mode: InterpolationMode.Nearest);
    }

    /// <summary>
    /// Averages each pair of pixels along every spatial dimension. If a size is odd, the last pixel is ignored.
    /// </summary>
    /// <param name="x">[B, C, ...], with sizes of at least 2.</param>
    /// <returns>[B, C, ...] at half the resolution, rounded down. The caller must dispose the returned tensor.</returns>
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
            throw new ArgumentException($"x must be [B, C, ...] with 3 to 5 dimensions, got shape {Guard.Format(x.shape)}.", nameof(x));
    }
}
