namespace Diffusion.Core.Schedules;

/// <summary>
/// The cosine schedule in continuous time, cut to a finite range of log-SNR: <c>logSNR(t) = -2 log tan(a t + b)</c>, so that alpha and
/// sigma are the cosine and the sine of an angle that grows evenly with t. t runs from 0, the least noise, to 1, the most.
/// </summary>
/// <remarks>
/// Source: Nichol and Dhariwal 2021, section 3.2, in the form of Kingma et al. 2021; the cut as in Ho and Salimans 2022,
/// "Classifier-Free Diffusion Guidance", section 2.
/// </remarks>
public sealed class CosineLogSnrSchedule : INoiseSchedule
{
    private readonly double _first;
    private readonly double _span;
    private readonly double _rest;

    /// <summary>The schedule between two log-SNRs.</summary>
    /// <param name="minLogSnr">The log-SNR at t = 1, in nats.</param>
    /// <param name="maxLogSnr">The log-SNR at t = 0, in nats.</param>
    /// <exception cref="ArgumentException">They are not finite, or not in order.</exception>
    public CosineLogSnrSchedule(double minLogSnr = -20.0, double maxLogSnr = 20.0)
    {
        if (!(double.IsFinite(minLogSnr) && double.IsFinite(maxLogSnr) && minLogSnr < maxLogSnr))
            throw new ArgumentException(
                $"The log-SNR must fall from maxLogSnr to minLogSnr, both finite, got {maxLogSnr} and {minLogSnr}.", nameof(maxLogSnr));
        (MinLogSnr, MaxLogSnr) = (minLogSnr, maxLogSnr);
        _first = Math.Atan(Math.Exp(-0.5 * maxLogSnr));
        _span = Math.Atan(Math.Exp(-0.5 * minLogSnr)) - _first;
        _rest = Math.Atan(Math.Exp(0.5 * minLogSnr));
    }

    /// <summary>The log-SNR at t = 1.</summary>
    public double MinLogSnr { get; }

    /// <summary>The log-SNR at t = 0.</summary>
    public double MaxLogSnr { get; }

    /// <inheritdoc/>
    public double MinTime => 0.0;

    /// <inheritdoc/>
    public double MaxTime => 1.0;

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        Guard.InRange(t, MinTime, MaxTime);

        // The cosine of an angle near pi / 2 loses digits; the sine of what is missing to pi / 2 keeps them.
        return new NoiseLevel(Math.Sin(_rest + ((1.0 - t) * _span)), Math.Sin(_first + (t * _span)));
    }

    /// <inheritdoc/>
    public double InvertLogSnr(double logSnr) => (Math.Atan(Math.Exp(-0.5 * logSnr)) - _first) / _span;
}
