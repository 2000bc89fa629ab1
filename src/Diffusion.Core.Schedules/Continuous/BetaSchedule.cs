using MathNet.Numerics.Integration;

namespace Diffusion.Core.Schedules;

/// <summary>
/// The variance preserving process of any noise rate beta(t), which is integrated numerically: <c>abar(t) = exp(-int_0^t beta)</c>. t
/// runs from 0, the data, to <see cref="MaxTime"/>.
/// </summary>
/// <remarks>
/// Source: Song et al. 2021, eq. 11 and 29. The integral is computed with an eight-point Gauss-Legendre rule on each of many panels,
/// which is accurate almost to machine precision if beta is smooth within each panel.
/// </remarks>
public sealed class BetaSchedule : INoiseSchedule
{
    private const int Order = 8;

    private readonly Func<double, double> _beta;
    private readonly double[] _integrals;

    /// <summary>Creates the process of a noise rate.</summary>
    /// <param name="beta">
    /// beta(t), finite and positive in (0, maxTime). It must be a pure function, which can be called from several threads.
    /// </param>
    /// <param name="maxTime">The time with the most noise. The default is 1.</param>
    /// <param name="panels">The number of panels. Use more panels for a beta that is not smooth. The default is 256.</param>
    /// <exception cref="ArgumentException">beta(t) is not finite and positive, or a number is outside its range.</exception>
    public BetaSchedule(Func<double, double> beta, double maxTime = 1.0, int panels = 256)
    {
        ArgumentNullException.ThrowIfNull(beta);
        MaxTime = Guard.Positive(maxTime);
        _beta = beta;
        _integrals = new double[Guard.Positive(panels) + 1];
        for (var i = 0; i < panels; i++)
            _integrals[i + 1] = _integrals[i] + GaussLegendreRule.Integrate(Rate, Node(i), Node(i + 1), Order);

        double Rate(double t)
        {
            var rate = beta(t);
            return rate > 0.0 && double.IsFinite(rate)
                ? rate
                : throw new ArgumentException(
                    Invariant($"beta(t) must be finite and greater than 0, got {rate:R} at t = {t:R}."), nameof(beta));
        }
    }

    /// <inheritdoc/>
    public double MinTime => 0.0;

    /// <inheritdoc/>
    public double MaxTime { get; }

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        Guard.InRange(t, MinTime, MaxTime);
        var panel = Math.Min((int)(t / MaxTime * (_integrals.Length - 1)), _integrals.Length - 1);
        var start = Node(panel);
        var rest = t == start ? 0.0 : GaussLegendreRule.Integrate(_beta, start, t, Order);
        return NoiseLevel.FromBetaIntegral(_integrals[panel] + rest);
    }

    private double Node(int panel) => MaxTime * panel / (_integrals.Length - 1);
}
