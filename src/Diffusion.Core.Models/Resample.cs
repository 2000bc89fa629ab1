using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Changes of resolution without parameters.</summary>
internal static class Resample
{
    /// <summary>Repeats pixels: [B, C, h, w] to [B, C, height, width].</summary>
    public static Tensor Nearest(Tensor x, long height, long width)
        => nn.functional.interpolate(x, size: [height, width], mode: InterpolationMode.Nearest);

    /// <summary>Averages 2x2 pixels, dropping an odd row or column at the end: [B, C, h, w] to [B, C, h/2, w/2].</summary>
    public static Tensor Halve(Tensor x) => nn.functional.avg_pool2d(x, [2L, 2L]);
}
