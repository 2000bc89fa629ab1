using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>Where a sampler's Gaussian draws come from.</summary>
public interface INoiseSource : IDisposable
{
    /// <summary>The next draw from N(0, I).</summary>
    /// <param name="like">[B, ...]; gives the shape, the type and the device.</param>
    /// <returns>A new tensor; the caller's.</returns>
    Tensor Draw(Tensor like);

    /// <summary>
    /// The draw from N(0, I) that belongs to an interval of noise, for sources that follow one Brownian path however it is cut into steps;
    /// other sources just draw.
    /// </summary>
    /// <param name="like">[B, ...]; gives the shape, the type and the device.</param>
    /// <param name="from">sigma / alpha where the interval starts.</param>
    /// <param name="to">sigma / alpha where it ends.</param>
    /// <returns>A new tensor; the caller's.</returns>
    Tensor Draw(Tensor like, double from, double to) => Draw(like);
}
