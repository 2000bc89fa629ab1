using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>What every likelihood checks before it touches native code.</summary>
internal static class SampleGuard
{
    /// <summary>Requires floating point samples, [B, ...], at least one of at least one dimension.</summary>
    public static void Check(Tensor samples)
    {
        Guard.Floating(samples);
        if (samples.dim() < 1 || samples.numel() == 0)
            throw new ArgumentException(
                $"The samples must be [B, ...] with no size of 0, got {Guard.Format(samples.shape)}.", nameof(samples));
    }
}
