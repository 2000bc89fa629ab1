namespace Diffusion.Core.Schedules;

/// <summary>
/// The cosine schedule in continuous time, truncated to a finite range of log-SNR: <c>logSNR(t) = -2 log tan(a t + b)</c>, so that
/// alpha and sigma are the cosine and the sine of an angle that is linear in t. t runs from 0, the least noise, to 1, the most noise.
/// </summary>
/// <remarks>
/// Source: Nichol and Dhariwal 2021, section 3.2, in the form of Kingma et al. 2021; truncated as in Ho and Salimans 2022,
/// "Classifier-Free Diffusion Guidance", section 2.
/// </remarks>
public sealed class CosineLogSnrSchedule : INoiseSchedule
{
    private readonly double _first;
    private readonly double _span;
    private readonly double _rest;

    /// <summary>Creates the schedule between two log-SNRs.</summary>
    /// <param name="minLogSnr">The log-SNR at t = 1, in nats. The default is -20.</param>
    /// <param name="maxLogSnr">The log-SNR at t = 0, in nats. The default is 20.</param>
    /// <exception cref="ArgumentException">
    /// A log-SNR is not finite, or <paramref name="minLogSnr"/> is not less than <paramref name="maxLogSnr"/>.
    /// </exception>
    public CosineLogSnrSchedule(double minLogSnr = -20.0, double maxLogSnr = 20.0)
    {
        if (!(double.IsFinite(minLogSnr) && double.IsFinite(maxLogSnr) && minLogSnr < maxLogSnr))
            throw new ArgumentException(
                Invariant($"The log-SNR must fall from maxLogSnr to minLogSnr, both finite, got {maxLogSnr} and {minLogSnr}."),
                nameof(maxLogSnr));
        (MinLogSnr, MaxLogSnr) = (minLogSnr, maxLogSnr);
        _first = Math.Atan(Math.Exp(-0.5 * maxLogSnr));
        _span = Math.Atan(Math.Exp(-0.5 * minLogSnr)) - _first;
        _rest = Math.Atan(Math.Exp(0.5 * minLogSnr));
    }

    /// <summary>The log-SNR at t = 1, in nats.</summary>
    public double MinLogSnr { get; }

    /// <summary>The log-SNR at t = 0, in nats.</summary>
    public double MaxLogSnr { get; }

    /// <inheritdoc/>
    public double MinTime => 0.0;

    /// <inheritdoc/>
    public double MaxTime => 1.0;

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        Guard.InRange(t, MinTime, MaxTime);

        // For an angle close to pi / 2, the sine of the complementary angle is more accurate than the cosine.
        return new NoiseLevel(Math.Sin(_rest + ((1.0 - t) * _span)), Math.Sin(_first + (t * _span)));
    }

    /// <inheritdoc/>
    public double InvertLogSnr(double logSnr) => (Math.Atan(Math.Exp(-0.5 * logSnr)) - _first) / _span;
}
