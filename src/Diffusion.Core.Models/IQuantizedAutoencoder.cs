using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>An autoencoder whose decoder sees vectors of a codebook in place of the encoder's latents.</summary>
public interface IQuantizedAutoencoder : IAutoencoder
{
    /// <summary>The vectors of the codebook that stand for latents.</summary>
    /// <param name="z">[B, D, ...] latents, as the encoder gives them.</param>
    /// <returns>The caller's to dispose.</returns>
    Quantization Quantize(Tensor z);

    /// <summary>The data of vectors that are taken as they are.</summary>
    /// <param name="quantized">[B, D, ...].</param>
    /// <returns>[B, ...]; the caller's.</returns>
    Tensor DecodeQuantized(Tensor quantized);
}
