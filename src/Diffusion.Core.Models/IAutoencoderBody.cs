using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>An architecture of encoders and decoders, of which autoencoders make the networks that they need.</summary>
public interface IAutoencoderBody
{
    /// <summary>A new encoder.</summary>
    /// <param name="outputsPerFeature">
    /// k, the outputs for each feature of the code: 1 for the code itself, 2 for its mean and log variance.
    /// </param>
    /// <returns>From [B, ...] data to [B, k C, ...]; the caller's.</returns>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
    nn.Module<Tensor, Tensor> Encoder(int outputsPerFeature);

    /// <summary>A new decoder.</summary>
    /// <param name="outputsPerValue">k, the outputs for each value of the data: 1, or 2 for a mean and a log variance.</param>
    /// <returns>From [B, C, ...] codes to data with k times the channels; the caller's.</returns>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
    nn.Module<Tensor, Tensor> Decoder(int outputsPerValue);
}
