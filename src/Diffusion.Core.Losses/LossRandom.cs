using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>Draws that a loss makes beside the noise it is given.</summary>
internal static class LossRandom
{
    /// <summary>
    /// A draw from N(0, I) by the generator of the training step, in the type and on the device of a tensor; the caller's.
    /// </summary>
    public static Tensor Normal(long[] shape, Tensor like)
    {
        Guard.Floating(like);
        var generator = DropoutRandom.Current;
        var drawn = randn(shape, dtype: like.dtype, device: generator?.device ?? like.device, generator: generator);
        if (drawn.device_type == like.device_type && drawn.device_index == like.device_index)
            return drawn;
        using var elsewhere = drawn;
        return drawn.to(like.device);
    }
}
