using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A network that gives data a code and makes data of a code: what latent diffusion stands on.</summary>
public interface IAutoencoder
{
    /// <summary>The code of data.</summary>
    /// <param name="x">[B, ...] data.</param>
    /// <returns>A distribution over latents [B, C, ...]; the caller's to dispose.</returns>
    ILatentDistribution Encode(Tensor x);

    /// <summary>The data of a code.</summary>
    /// <param name="z">[B, C, ...] latents, as the encoder gives them.</param>
    /// <returns>[B, ...] what the reconstruction loss wants: data, logits, or the moments of data; the caller's.</returns>
    Tensor Decode(Tensor z);

    /// <summary>The scale and shift at which denoisers see the latents, where the autoencoder was published with one.</summary>
    LatentScaling? Scaling => null;

    /// <summary>Where the autoencoder wants its inputs; null when it takes them anywhere.</summary>
    Device? Device => null;

    /// <summary>Readies the autoencoder for inference until the returned scope is disposed; null when there is nothing to do.</summary>
    IDisposable? BeginInference() => null;
}
