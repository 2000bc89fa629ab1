using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>What a <see cref="VectorQuantizer"/> makes of latents. Owns its tensors.</summary>
public sealed class Quantization : IDisposable
{
    internal Quantization(Tensor quantized, Tensor loss, Tensor indices)
        => (Quantized, Loss, Indices) = (quantized, loss, indices);

    /// <summary>[B, D, ...] the nearest vectors of the codebook; its gradient is passed to the latents as it is.</summary>
    public Tensor Quantized { get; }

    /// <summary>[] the codebook and commitment terms, with gradients to the codebook and to the latents.</summary>
    public Tensor Loss { get; }

    /// <summary>[B, ...] int64, the places of those vectors in the codebook.</summary>
    public Tensor Indices { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Quantized.Dispose();
        Loss.Dispose();
        Indices.Dispose();
    }
}
