namespace Diffusion.Core.Models;

/// <summary>The architecture of a <see cref="Vae"/>.</summary>
public sealed record VaeOptions
{
    /// <summary>
    /// What the encoder and the decoder are made of: an <see cref="MlpBody"/>, a <see cref="ConvolutionalBody"/>, or one's own.
    /// </summary>
    public required IAutoencoderBody Body { get; init; }

    /// <summary>
    /// True for two encoders, one for the mean and one for the log variance, that share nothing; false, the default, for one encoder with
    /// two outputs for each feature of the code.
    /// </summary>
    public bool TwoEncoders { get; init; }

    /// <summary>
    /// Outputs of the decoder for each value of the data: 1 by default, 2 for a decoder that says a mean and a log variance.
    /// </summary>
    public int OutputsPerValue { get; init; } = 1;

    /// <summary>The scale at which denoisers see the latents, once it is measured; null, the default, where none is known.</summary>
    public LatentScaling? Scaling { get; init; }
}
