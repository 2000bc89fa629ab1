namespace Diffusion.Core.Models;

/// <summary>The architecture of a <see cref="VQModel"/>, and the scale at which denoisers see its latents.</summary>
public sealed record VQModelOptions
{
    /// <summary>The encoder and the decoder. 3 latent channels by default.</summary>
    public ConvolutionalBody Body { get; init; } = new() { LatentChannels = 3 };

    /// <summary>K, the number of vectors in the codebook. 256 by default.</summary>
    public int Codes { get; init; } = 256;

    /// <summary>D, the width of each vector; the latent channels by default.</summary>
    public int? CodeWidth { get; init; }

    /// <summary>Norms in the decoder that read the code. Off by default; D must then be the number of latent channels.</summary>
    public bool SpatialNorm { get; init; }

    /// <summary>
    /// True when <see cref="VQModel.Decode(TorchSharp.torch.Tensor, bool)"/> without quantising takes places in the codebook. Off by
    /// default.
    /// </summary>
    public bool LookupFromCodebook { get; init; }

    /// <summary>What latents are multiplied by for the denoiser. 0.18215 by default.</summary>
    public double ScalingFactor { get; init; } = 0.18215;

    /// <summary>beta of the codebook's loss. 0.25 by default.</summary>
    public double Beta { get; init; } = 0.25;

    /// <inheritdoc cref="VectorQuantizerOptions.LegacyBeta"/>
    public bool LegacyBeta { get; init; } = true;

    /// <inheritdoc cref="VectorQuantizerOptions.AverageDecay"/>
    public double? AverageDecay { get; init; }
}
