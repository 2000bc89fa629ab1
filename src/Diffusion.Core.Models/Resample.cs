using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Changes of resolution without parameters, for images with one, two or three sizes.</summary>
public static class Resample
{
    /// <summary>Repeats pixels.</summary>
    /// <param name="x">[B, C, ...].</param>
    /// <param name="size">The sizes of the result, as many as x has.</param>
    /// <returns>[B, C, size]; the caller's.</returns>
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
    /// <returns>[B, C, ...] with half the sizes; the caller's.</returns>
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
