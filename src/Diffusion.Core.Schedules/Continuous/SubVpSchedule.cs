namespace Diffusion.Core.Schedules;

/// <summary>
/// The sub-VP process in continuous time: alpha of <see cref="LinearVpSchedule"/> with less noise, <c>sigma = 1 - alpha^2</c> instead
/// of its square root. t runs from 0, the data, to 1.
/// </summary>
/// <remarks>
/// Source: Song et al. 2021, appendix B, eq. 29. Only the marginal distributions are those of the sub-VP SDE, which is sufficient for
/// deterministic samplers, losses and likelihoods. A step of an ancestral sampler is that of the Gaussian process with the same
/// marginal distributions.
/// </remarks>
public sealed class SubVpSchedule : INoiseSchedule
{
    private readonly LinearVpSchedule _preserving;

    /// <summary>Creates the schedule between two noise rates.</summary>
    /// <param name="betaMin">beta(0), per unit of time. The default is 0.1.</param>
    /// <param name="betaMax">beta(1), per unit of time. The default is 20.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A rate is not finite and positive, or <paramref name="betaMax"/> is less than <paramref name="betaMin"/>.
    /// </exception>
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
    /// <remarks>Uses sigma / alpha = 2 sinh(I / 2), where I is the integral of beta.</remarks>
    public double InvertLogSnr(double logSnr) => _preserving.TimeOfIntegral(2.0 * Math.Asinh(0.5 * Math.Exp(-0.5 * logSnr)));
}
