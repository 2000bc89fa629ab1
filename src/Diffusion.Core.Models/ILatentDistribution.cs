using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>What an encoder says of the code of a batch: a distribution over latents, or one point. Owns its tensors.</summary>
public interface ILatentDistribution : IDisposable
{
    /// <summary>[B, C, ...] the likeliest latent; the distribution's own.</summary>
    Tensor Mode { get; }

    /// <summary>A latent drawn from the distribution, with gradients to its parameters.</summary>
    /// <param name="generator">Where the draw comes from, on any device; null for the default generator.</param>
    /// <returns>The shape of <see cref="Mode"/>; the caller's.</returns>
    Tensor Sample(Generator? generator = null);

    /// <summary>The latent that a draw of standard normals stands for, with gradients to the parameters of the distribution.</summary>
    /// <param name="noise">The shape, type and device of <see cref="Mode"/>.</param>
    /// <returns>The shape of <see cref="Mode"/>; the caller's.</returns>
    /// <exception cref="ArgumentException">The noise does not fit.</exception>
    Tensor Sample(Tensor noise);
}
