namespace Diffusion.Core.Schedules;

/// <summary>
/// EDM's process, <c>x = x_0 + sigma eps</c>, with the time that its networks receive, <c>t = c_noise = log(sigma) / 4</c>. alpha is 1
/// everywhere.
/// </summary>
/// <remarks>Source: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", table 1.</remarks>
public sealed class EdmSchedule : INoiseSchedule
{
    /// <summary>The process between two noise levels.</summary>
    /// <param name="sigmaMin">sigma at <see cref="MinTime"/>.</param>
    /// <param name="sigmaMax">sigma at <see cref="MaxTime"/>.</param>
    /// <param name="timeScale">t for one e-fold of sigma: 1/4 for EDM, 250 for the consistency models of Song et al. 2023.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not finite and positive, or the sigmas are not in order.</exception>
    public EdmSchedule(double sigmaMin = 0.002, double sigmaMax = 80.0, double timeScale = 0.25)
    {
        SigmaMin = Guard.Positive(sigmaMin);
        SigmaMax = Guard.InRange(Guard.Positive(sigmaMax), Math.BitIncrement(sigmaMin), double.MaxValue, nameof(sigmaMax));
        TimeScale = Guard.Positive(timeScale);
        (MinTime, MaxTime) = (TimeOfSigma(sigmaMin), TimeOfSigma(sigmaMax));
    }

    /// <summary>The least noise.</summary>
    public double SigmaMin { get; }

    /// <summary>The most noise.</summary>
    public double SigmaMax { get; }

    /// <summary>t for one e-fold of sigma.</summary>
    public double TimeScale { get; }

    /// <inheritdoc/>
    public double MinTime { get; }

    /// <inheritdoc/>
    public double MaxTime { get; }

    /// <summary>The time of a sigma, <c>timeScale * log(sigma)</c>.</summary>
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
