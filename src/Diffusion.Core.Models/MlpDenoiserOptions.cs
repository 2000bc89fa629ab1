namespace Diffusion.Core.Models;

/// <summary>The architecture of an <see cref="MlpDenoiser"/>.</summary>
public sealed record MlpDenoiserOptions
{
    /// <summary>D, the number of features of x_t. 2 by default.</summary>
    public int Features { get; init; } = 2;

    /// <summary>The width of the hidden layers. 128 by default.</summary>
    public int Width { get; init; } = 128;

    /// <summary>The number of residual layers. 3 by default.</summary>
    public int Layers { get; init; } = 3;

    /// <summary>
    /// n, the number of Fourier features of x_t: sin and cos of <c>2^k pi x</c> for k in 0..n-1 stand beside x itself, so that the network
    /// can follow detail as fine as 2^-n. 6 by default; 0 for x alone.
    /// </summary>
    /// <remarks>Source: Tancik et al. 2020; the frequencies are those of Mildenhall et al. 2020, eq. 4.</remarks>
    public int FourierFeatures { get; init; } = 6;

    /// <summary>The number of classes, or null, the default, for an unconditional network.</summary>
    public int? Classes { get; init; }

    /// <summary>The width of <see cref="Condition.Vector"/>; null, the default, for a network that takes none.</summary>
    public int? VectorWidth { get; init; }

    /// <summary>Refuses options that do not fit each other.</summary>
    /// <exception cref="ArgumentException">The first that does not.</exception>
    internal void Validate()
    {
        Guard.Positive(Features);
        Guard.Positive(Layers);
        Guard.InRange(FourierFeatures, 0, 32);
        Guard.Positive(Classes ?? 1, nameof(Classes));
        Guard.Positive(VectorWidth ?? 1, nameof(VectorWidth));
        if (Width < 2 || Width % 2 != 0)
            throw new ArgumentException($"{nameof(Width)} must be an even number from 2, got {Width}.", nameof(Width));
    }
}
