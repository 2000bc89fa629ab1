using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>Where a sampler's Gaussian draws come from.</summary>
public interface INoiseSource : IDisposable
{
    /// <summary>The next draw from N(0, I).</summary>
    /// <param name="like">[B, ...]; gives the shape, the type and the device.</param>
    /// <returns>A new tensor; the caller's.</returns>
    Tensor Draw(Tensor like);
}
