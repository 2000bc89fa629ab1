namespace Diffusion.Core.Schedules;

/// <summary>
/// The variance exploding process in continuous time: alpha is 1 and sigma grows geometrically, <c>sigma(t) = sigmaMin (sigmaMax /
/// sigmaMin)^t</c>. t runs from 0, the least noise, to 1.
/// </summary>
/// <remarks>
/// Source: Song et al. 2021, appendix C, eq. 30, where sigmaMax is about the greatest distance between two samples of the data.
/// </remarks>
public sealed class VarianceExplodingSchedule : INoiseSchedule
{
    private readonly double _logRatio;

    /// <summary>Creates the process between two noise levels.</summary>
    /// <param name="sigmaMin">sigma(0). The default is 0.01.</param>
    /// <param name="sigmaMax">sigma(1). The default is 50.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A number is not finite and positive, or <paramref name="sigmaMax"/> is not greater than <paramref name="sigmaMin"/>.
    /// </exception>
    public VarianceExplodingSchedule(double sigmaMin = 0.01, double sigmaMax = 50.0)
    {
        SigmaMin = Guard.Positive(sigmaMin);
        SigmaMax = Guard.InRange(Guard.Positive(sigmaMax), Math.BitIncrement(sigmaMin), double.MaxValue, nameof(sigmaMax));
        _logRatio = Math.Log(sigmaMax / sigmaMin);
    }

    /// <summary>sigma(0).</summary>
    public double SigmaMin { get; }

    /// <summary>sigma(1).</summary>
    public double SigmaMax { get; }

    /// <inheritdoc/>
    public double MinTime => 0.0;

    /// <inheritdoc/>
    public double MaxTime => 1.0;

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        Guard.InRange(t, MinTime, MaxTime);
        return new NoiseLevel(1.0, t == 1.0 ? SigmaMax : SigmaMin * Math.Exp(t * _logRatio));
    }

    /// <inheritdoc/>
    public double InvertLogSnr(double logSnr) => ((-0.5 * logSnr) - Math.Log(SigmaMin)) / _logRatio;
}
