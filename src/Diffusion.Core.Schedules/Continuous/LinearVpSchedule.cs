namespace Diffusion.Core.Schedules;

/// <summary>
/// The variance preserving process in continuous time with a linear beta(t) (the VP SDE): the limit of DDPM's linear schedule for many
/// steps. t runs from 0, the data, to 1; <c>beta(t) = betaMin + t (betaMax - betaMin)</c> and <c>abar(t) = exp(-int_0^t beta)</c>.
/// </summary>
/// <remarks>
/// Source: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations", appendix C, eq. 32.
/// </remarks>
public sealed class LinearVpSchedule : INoiseSchedule
{
    /// <summary>The schedule between two noise rates.</summary>
    /// <param name="betaMin">beta(0), for unit time: 1000 times DDPM's first beta.</param>
    /// <param name="betaMax">beta(1), for unit time: 1000 times DDPM's last beta.</param>
    /// <exception cref="ArgumentOutOfRangeException">A rate is not finite and positive, or they are not in order.</exception>
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
        // log(1 + e^-l); an area tangent keeps the digits of a small term added to 1, and the sign of l that of the larger term.
        var small = Math.Exp(-Math.Abs(logSnr));
        return TimeOfIntegral((2.0 * Math.Atanh(small / (2.0 + small))) + Math.Max(-logSnr, 0.0));
    }

    /// <summary>The time at which the integral of beta has the given value.</summary>
    internal double TimeOfIntegral(double integral)
        => 2.0 * integral / (BetaMin + Math.Sqrt((BetaMin * BetaMin) + (2.0 * (BetaMax - BetaMin) * integral)));
}
