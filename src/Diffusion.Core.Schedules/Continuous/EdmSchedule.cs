namespace Diffusion.Core.Schedules;

/// <summary>
/// The process of EDM, <c>x = x_0 + sigma eps</c>, with the timestep that is passed to its networks as time: <c>t = c_noise =
/// log(sigma) / 4</c>. alpha is always 1.
/// </summary>
/// <remarks>Source: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", table 1.</remarks>
public sealed class EdmSchedule : INoiseSchedule
{
    /// <summary>Creates the process between two noise levels.</summary>
    /// <param name="sigmaMin">sigma at <see cref="MinTime"/>. The default is 0.002.</param>
    /// <param name="sigmaMax">sigma at <see cref="MaxTime"/>. The default is 80.</param>
    /// <param name="timeScale">
    /// The increase of t when sigma is multiplied by e: 1/4 for EDM, 250 for the consistency models of Song et al. 2023. The default
    /// is 1/4.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A number is not finite and positive, or <paramref name="sigmaMax"/> is not greater than <paramref name="sigmaMin"/>.
    /// </exception>
    public EdmSchedule(double sigmaMin = 0.002, double sigmaMax = 80.0, double timeScale = 0.25)
    {
        SigmaMin = Guard.Positive(sigmaMin);
        SigmaMax = Guard.InRange(Guard.Positive(sigmaMax), Math.BitIncrement(sigmaMin), double.MaxValue, nameof(sigmaMax));
        TimeScale = Guard.Positive(timeScale);
        (MinTime, MaxTime) = (TimeOfSigma(sigmaMin), TimeOfSigma(sigmaMax));
    }

    /// <summary>sigma at <see cref="MinTime"/>.</summary>
    public double SigmaMin { get; }

    /// <summary>sigma at <see cref="MaxTime"/>.</summary>
    public double SigmaMax { get; }

    /// <summary>The increase of t when sigma is multiplied by e.</summary>
    public double TimeScale { get; }

    /// <inheritdoc/>
    public double MinTime { get; }

    /// <inheritdoc/>
    public double MaxTime { get; }

    /// <summary>Returns the time of a sigma, <c>timeScale * log(sigma)</c>.</summary>
    public double TimeOfSigma(double sigma) => TimeScale * Math.Log(sigma);

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        Guard.InRange(t, MinTime, MaxTime);
        return new NoiseLevel(1.0, t == MinTime ? SigmaMin : t == MaxTime ? SigmaMax : Math.Exp(t / TimeScale));
    }

    /// <inheritdoc/>
    public double InvertLogSnr(double logSnr) => -0.5 * TimeScale * logSnr;
}
