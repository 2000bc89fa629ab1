using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>A training loss, evaluated for each sample of a batch.</summary>
public interface IDiffusionLoss
{
    /// <summary>The loss of a denoiser on one noised batch.</summary>
    /// <param name="denoiser">The network; called once.</param>
    /// <param name="process">The forward process that noises the data.</param>
    /// <param name="x0">[B, ...] data.</param>
    /// <param name="t">
    /// [B] times of the schedule: int64 indices of a discrete one on the device of <paramref name="x0"/>; of a continuous one floating
    /// point on the CPU, where its levels are computed, so that no step waits for a GPU to hand them back.
    /// </param>
    /// <param name="noise">The shape of <paramref name="x0"/>, drawn from N(0, I).</param>
    /// <param name="condition">Of the same batch size, or null.</param>
    /// <returns>Named values, [B] each; the caller's.</returns>
    LossTerms Evaluate(IDenoiser denoiser, ForwardProcess process, Tensor x0, Tensor t, Tensor noise, Condition? condition = null);
}
