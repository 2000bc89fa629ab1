using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>A way to tell how likely a model makes data.</summary>
public interface ILikelihood
{
    /// <summary>-log2 p(x) / D of each sample, with D its number of dimensions, or a bound on it.</summary>
    /// <param name="denoiser">The network; in evaluation mode while it is used.</param>
    /// <param name="samples">[B, ...] data, floating point, on the device of the network; not changed.</param>
    /// <param name="request">Seeds, condition and cancellation.</param>
    /// <returns>[B] bits/dim, float64 on the CPU; the caller's.</returns>
    /// <exception cref="ArgumentException">The samples do not fit the network or the request.</exception>
    /// <exception cref="OperationCanceledException">The request was cancelled.</exception>
    Tensor BitsPerDim(IDenoiser denoiser, Tensor samples, LikelihoodRequest request);
}
