namespace Diffusion.Core.Schedules;

/// <summary>
/// The variance preserving process in continuous time with a linear beta(t), known as the VP SDE: the limit of the linear schedule of
/// DDPM for many steps. t runs from 0, the data, to 1; <c>beta(t) = betaMin + t (betaMax - betaMin)</c> and <c>abar(t) = exp(-int_0^t
/// beta)</c>.
/// </summary>
/// <remarks>
/// Source: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations", appendix C, eq. 32.
/// </remarks>
public sealed class LinearVpSchedule : INoiseSchedule
{
    /// <summary>Creates the schedule between two noise rates.</summary>
    /// <param name="betaMin">beta(0), per unit of time: 1000 times the first beta of DDPM. The default is 0.1.</param>
    /// <param name="betaMax">beta(1), per unit of time: 1000 times the last beta of DDPM. The default is 20.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A rate is not finite and positive, or <paramref name="betaMax"/> is less than <paramref name="betaMin"/>.
    /// </exception>
    public LinearVpSchedule(double betaMin = 0.1, double betaMax = 20.0)
    {
        BetaMin = Guard.Positive(betaMin);
        BetaMax = Guard.InRange(Guard.Positive(betaMax), betaMin, double.MaxValue, nameof(betaMax));
    }

    /// <summary>beta(0).</summary>
    public double BetaMin { get; }

    /// <summary>beta(1).</summary>
    public double BetaMax { get; }

    /// <inheritdoc/>
    public double MinTime => 0.0;

    /// <inheritdoc/>
    public double MaxTime => 1.0;

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        Guard.InRange(t, MinTime, MaxTime);
        return NoiseLevel.FromBetaIntegral(t * (BetaMin + (0.5 * t * (BetaMax - BetaMin))));
    }

    /// <inheritdoc/>
    public double InvertLogSnr(double logSnr)
    {
        // log(1 + e^-l) = log(1 + e^-|l|) + max(-l, 0) does not overflow; log(1 + x) = 2 artanh(x / (2 + x)) is accurate for small x.
        var small = Math.Exp(-Math.Abs(logSnr));
        return TimeOfIntegral((2.0 * Math.Atanh(small / (2.0 + small))) + Math.Max(-logSnr, 0.0));
    }

    /// <summary>Returns the time at which the integral of beta has the given value.</summary>
    internal double TimeOfIntegral(double integral)
        => 2.0 * integral / (BetaMin + Math.Sqrt((BetaMin * BetaMin) + (2.0 * (BetaMax - BetaMin) * integral)));
}
