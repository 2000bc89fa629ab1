using MathNet.Numerics.Interpolation;

namespace Diffusion.Core.Schedules;

/// <summary>
/// A variance preserving schedule that is defined by its log-SNR at a few times. Between them, the log-SNR is interpolated by a
/// monotone cubic spline (PCHIP; Fritsch and Carlson 1980), so that it decreases everywhere. Times run from the first point to the
/// last.
/// </summary>
public sealed class TabulatedSchedule : INoiseSchedule
{
    private readonly double[] _times;
    private readonly double[] _logSnrs;
    private readonly CubicSpline _logSnr;

    /// <summary>Creates the schedule through the given points.</summary>
    /// <param name="times">The times, in increasing order, at least three.</param>
    /// <param name="logSnrs">log(alpha^2 / sigma^2) at each time, in nats, in decreasing order.</param>
    /// <exception cref="ArgumentException">
    /// There are fewer than three points, the number of times differs from that of log-SNRs, or the values are not finite and in
    /// order.
    /// </exception>
    public TabulatedSchedule(ReadOnlySpan<double> times, ReadOnlySpan<double> logSnrs)
    {
        if (times.Length < 3 || times.Length != logSnrs.Length)
            throw new ArgumentException(
                $"There must be at least three points, with as many times as log-SNRs, got {times.Length} and {logSnrs.Length}.",
                nameof(times));
        for (var i = 0; i < times.Length; i++)
        {
            if (!double.IsFinite(times[i]) || (i > 0 && times[i] <= times[i - 1]))
                throw new ArgumentException(Invariant($"The times must be finite and rise, got times[{i}] = {times[i]:R}."), nameof(times));
            if (!double.IsFinite(logSnrs[i]) || (i > 0 && logSnrs[i] >= logSnrs[i - 1]))
                throw new ArgumentException(
                    Invariant($"The log-SNRs must be finite and fall, got logSnrs[{i}] = {logSnrs[i]:R}."), nameof(logSnrs));
        }

        (MinTime, MaxTime) = (times[0], times[^1]);
        (_times, _logSnrs) = (times.ToArray(), logSnrs.ToArray());
        _logSnr = CubicSpline.InterpolatePchipSorted(_times, _logSnrs);
        LogSnrSearch.RequireFalling(this, nameof(logSnrs));
    }

    /// <summary>The times of the table, in increasing order.</summary>
    public ReadOnlySpan<double> Times => _times;

    /// <summary>The log-SNR at each time, in nats, in decreasing order.</summary>
    public ReadOnlySpan<double> LogSnrs => _logSnrs;

    /// <inheritdoc/>
    public double MinTime { get; }

    /// <inheritdoc/>
    public double MaxTime { get; }

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        Guard.InRange(t, MinTime, MaxTime);
        return NoiseLevel.FromLogSnr(_logSnr.Interpolate(t));
    }
}
