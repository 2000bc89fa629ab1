using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// A sampler of times that learns from the losses it led to, and says what each draw is worth, so that the weighted mean loss still
/// estimates the mean over even times. Its state is in the open, for a checkpoint to keep.
/// </summary>
public interface IAdaptiveTimestepSampler : ITimestepSampler, IDisposable
{
    /// <summary>The whole state, by name: live tensors on the CPU, owned by the sampler. Copying into them restores a state.</summary>
    IReadOnlyDictionary<string, Tensor> State { get; }

    /// <summary>The importance weight of each time, 1 on average over the draws.</summary>
    /// <param name="t">[B] times as drawn, on the CPU, before the next <see cref="Observe"/>.</param>
    /// <returns>[B] float64 on the CPU; the caller's.</returns>
    Tensor Weights(Tensor t);

    /// <summary>Learns from a batch; a loss that is not finite is left out.</summary>
    /// <param name="t">[B] times as drawn, on the CPU.</param>
    /// <param name="losses">[B] their losses, not weighted, floating point on the CPU.</param>
    void Observe(Tensor t, Tensor losses);
}
