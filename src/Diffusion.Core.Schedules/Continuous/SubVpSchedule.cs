namespace Diffusion.Core.Schedules;

/// <summary>
/// The sub-VP process in continuous time: alpha of <see cref="LinearVpSchedule"/> with less noise, <c>sigma = 1 - alpha^2</c> in place
/// of its root. t runs from 0, the data, to 1.
/// </summary>
/// <remarks>
/// Source: Song et al. 2021, appendix B, eq. 29. Only the marginals are the sub-VP SDE's; that is all that deterministic samplers, losses
/// and likelihoods read. A step of an ancestral sampler is that of the Gaussian process with these marginals.
/// </remarks>
public sealed class SubVpSchedule : INoiseSchedule
{
    private readonly LinearVpSchedule _preserving;

    /// <summary>The schedule between two noise rates.</summary>
    /// <param name="betaMin">beta(0), for unit time.</param>
    /// <param name="betaMax">beta(1), for unit time.</param>
    /// <exception cref="ArgumentOutOfRangeException">A rate is not finite and positive, or they are not in order.</exception>
    public SubVpSchedule(double betaMin = 0.1, double betaMax = 20.0) => _preserving = new LinearVpSchedule(betaMin, betaMax);

    /// <summary>beta(0).</summary>
    public double BetaMin => _preserving.BetaMin;

    /// <summary>beta(1).</summary>
    public double BetaMax => _preserving.BetaMax;

    /// <inheritdoc/>
    public double MinTime => 0.0;

    /// <inheritdoc/>
    public double MaxTime => 1.0;

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        var level = _preserving.LevelAt(t);
        return level with { Sigma = level.Sigma * level.Sigma };
    }

    /// <inheritdoc/>
    /// <remarks>sigma / alpha is 2 sinh of half the integral of beta.</remarks>
    public double InvertLogSnr(double logSnr) => _preserving.TimeOfIntegral(2.0 * Math.Asinh(0.5 * Math.Exp(-0.5 * logSnr)));
}
