namespace Diffusion.Core.Models;

/// <summary>The architecture of an <see cref="AutoencoderKL"/>, and the scale at which denoisers see its latents.</summary>
public sealed record AutoencoderKLOptions
{
    /// <summary>The encoder and the decoder.</summary>
    public ConvolutionalBody Body { get; init; } = new();

    /// <summary>A 1x1 convolution after the encoder. On by default.</summary>
    public bool QuantConvolution { get; init; } = true;

    /// <summary>A 1x1 convolution before the decoder. On by default.</summary>
    public bool PostQuantConvolution { get; init; } = true;

    /// <summary>What latents are multiplied by for the denoiser. 0.18215 by default, that of Stable Diffusion 1 and 2.</summary>
    public double ScalingFactor { get; init; } = 0.18215;

    /// <summary>What is subtracted from latents before that; 0 by default.</summary>
    public double ShiftFactor { get; init; }

    /// <summary>The mean of each latent channel, subtracted in place of <see cref="ShiftFactor"/>; null for none.</summary>
    public IReadOnlyList<double>? LatentsMean { get; init; }

    /// <summary>
    /// The standard deviation of each latent channel, which divides what <see cref="ScalingFactor"/> multiplies; null for none.
    /// </summary>
    public IReadOnlyList<double>? LatentsStd { get; init; }

    /// <summary>The numbers above as one change of coordinates.</summary>
    /// <exception cref="ArgumentException">There is not one mean and deviation for each channel, or a number is out of range.</exception>
    internal LatentScaling Scaling()
    {
        if (LatentsMean is null && LatentsStd is null)
            return new LatentScaling(ScalingFactor, ShiftFactor);
        var means = LatentsMean ?? [.. Enumerable.Repeat(ShiftFactor, Body.LatentChannels)];
        var stds = LatentsStd ?? [.. Enumerable.Repeat(1.0, Body.LatentChannels)];
        if (means.Count != Body.LatentChannels || stds.Count != Body.LatentChannels)
            throw new ArgumentException(
                $"There must be a mean and a deviation for each of {Body.LatentChannels} latent channels, "
                + $"got {means.Count} and {stds.Count}.",
                nameof(LatentsMean));
        return new LatentScaling([.. stds.Select(std => ScalingFactor / std)], means);
    }
}
