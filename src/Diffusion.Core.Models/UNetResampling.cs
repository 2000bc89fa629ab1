namespace Diffusion.Core.Models;

/// <summary>The usual changes of resolution.</summary>
public static class UNetResampling
{
    /// <summary>A convolution of stride 2 down; repeated pixels and a convolution up (Ho et al. 2020).</summary>
    /// <param name="padding">
    /// 1 pads every side and an odd size is rounded up; 0 pads right and below only, as the code of Ho et al. does.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The padding is neither 0 nor 1.</exception>
    public static IUNetResampling Convolution(int padding = 1) => new ByConvolution(Guard.InRange(padding, 0, 1));

    /// <summary>Inside a residual block: mean of pixels down, repeated pixels up (Brock et al. 2019; Dhariwal and Nichol 2021).</summary>
    public static IUNetResampling Residual { get; } = new ByResidualBlock();

    internal sealed record ByConvolution(int Padding) : IUNetResampling
    {
        public IUNetLayer Down(UNetPlace place) => new Downsample(place.Width, Padding, place.Network.Dimensions);

        public IUNetLayer Up(UNetPlace place) => new Upsample(place.Width, place.Network.Dimensions);

        public long Halve(long side) => (side + Padding) / 2;
    }

    internal sealed record ByResidualBlock : IUNetResampling
    {
        public IUNetLayer Down(UNetPlace place)
            => new ResidualBlock(place.Residual(place.Width, place.Width) with { Resample = (image, _) => Resample.Halve(image) });

        public IUNetLayer Up(UNetPlace place)
            => new ResidualBlock(place.Residual(place.Width, place.Width) with
            {
                Resample = (image, context) => Resample.Nearest(image, context.NextSize()),
            });
    }
}
