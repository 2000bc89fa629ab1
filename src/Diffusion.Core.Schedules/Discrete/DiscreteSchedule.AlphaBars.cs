using MathNet.Numerics;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Schedules;

public sealed partial class DiscreteSchedule
{
    /// <summary>
    /// Creates a schedule from a function abar(t), t in [0, 1], that is evaluated at t = i / T: beta_i = 1 - abar((i + 1) / T) /
    /// abar(i / T), and at most <paramref name="maxBeta"/>.
    /// </summary>
    /// <param name="alphaBar">
    /// abar(t). It must be finite, strictly decreasing, positive before t = 1 and not negative at t = 1. Only ratios of its values are
    /// used.
    /// </param>
    /// <param name="steps">T, at least 1. The default is 1000.</param>
    /// <param name="maxBeta">
    /// The greatest beta, in (0, 1]. A value less than 1 leaves some signal in the last step. The default is 0.999.
    /// </param>
    /// <param name="logger">
    /// The logger. It receives a warning if the last step still contains signal. The default is <see langword="null"/>: no warning.
    /// </param>
    /// <exception cref="ArgumentException">abar(t) is not finite and strictly decreasing, or a number is outside its range.</exception>
    public static DiscreteSchedule FromAlphaBar(
        Func<double, double> alphaBar, int steps = 1000, double maxBeta = 0.999, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(alphaBar);
        Guard.InRange(steps, 1, int.MaxValue);
        Guard.InRange(maxBeta, double.Epsilon, 1.0);
        var betas = new double[steps];
        var previous = alphaBar(0.0);
        for (var i = 0; i < steps; i++)
        {
            var next = alphaBar((i + 1.0) / steps);
            if (!(next >= 0.0 && next < previous && double.IsFinite(previous)))
                throw new ArgumentException(
                    Invariant($"abar(t) must fall strictly, be finite and not be negative, got {previous:R} at t = ")
                    + Invariant($"{(double)i / steps:R} ") +
                    Invariant($"and {next:R} at t = {(i + 1.0) / steps:R}."),
                    nameof(alphaBar));
            betas[i] = Math.Min(1.0 - (next / previous), maxBeta);
            previous = next;
        }

        return new DiscreteSchedule(betas, logger);
    }

    /// <summary>
    /// Creates the cosine schedule: abar(t) = cos^2((t + s) / (1 + s) pi / 2) with s = <paramref name="offset"/>, and betas of at most
    /// <paramref name="maxBeta"/> (Nichol and Dhariwal 2021, eq. 17).
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Cosine(int steps = 1000, double offset = 0.008, double maxBeta = 0.999, ILogger? logger = null)
    {
        Guard.InRange(offset, 0.0, 1.0);
        return FromAlphaBar(
            t =>
            {
                var cos = Math.Cos((t + offset) / (1.0 + offset) * Math.PI / 2.0);
                return cos * cos;
            },
            steps,
            maxBeta,
            logger);
    }

    /// <summary>
    /// Creates a schedule whose abar(t) is a decreasing logistic function, rescaled to run from 1 to 0 (Jabri et al. 2022, "Scalable
    /// Adaptive Computation"; Chen 2023, "On the Importance of Noise Scheduling"). The "sigmoid" of diffusers is a different schedule,
    /// <see cref="SigmoidBeta"/>.
    /// </summary>
    /// <param name="steps">T, at least 1. The default is 1000.</param>
    /// <param name="start">
    /// The argument of the logistic function at t = 0, before the division by <paramref name="tau"/>. The default is -3, as in the
    /// papers; 0 adds more noise at early times.
    /// </param>
    /// <param name="end">The argument of the logistic function at t = 1, greater than <paramref name="start"/>. The default is 3.</param>
    /// <param name="tau">The temperature, by which the argument of the logistic function is divided. The default is 1.</param>
    /// <param name="maxBeta">
    /// The greatest beta, in (0, 1]. A value less than 1 leaves some signal in the last step. The default is 0.999.
    /// </param>
    /// <param name="logger">
    /// The logger. It receives a warning if the last step still contains signal. The default is <see langword="null"/>: no warning.
    /// </param>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule SigmoidAlphaBar(
        int steps = 1000, double start = -3.0, double end = 3.0, double tau = 1.0, double maxBeta = 0.999, ILogger? logger = null)
    {
        Guard.Positive(tau);
        Guard.InRange(start, double.MinValue, double.MaxValue);
        Guard.InRange(end, Math.BitIncrement(start), double.MaxValue);
        var (first, last) = (SpecialFunctions.Logistic(start / tau), SpecialFunctions.Logistic(end / tau));
        return FromAlphaBar(
            t => t == 1.0 ? 0.0 : (last - SpecialFunctions.Logistic((start + (t * (end - start))) / tau)) / (last - first),
            steps,
            maxBeta,
            logger);
    }

    /// <summary>
    /// Creates a schedule with abar(t) = e^(-rate t), in which every step has the same beta. With the default rate of 12, it is the
    /// "exp" of diffusers.
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Exponential(int steps = 1000, double rate = 12.0, double maxBeta = 0.999, ILogger? logger = null)
    {
        Guard.Positive(rate);
        return FromAlphaBar(t => Math.Exp(-rate * t), steps, maxBeta, logger);
    }

    /// <summary>
    /// Creates a schedule whose log-SNRs follow a Laplace distribution, so that most steps are close to <paramref name="location"/>:
    /// <c>logSNR(t) = location - scale sgn(1/2 - t) log(1 - 2 |t - 1/2|)</c> (Hang et al. 2024, "Improved Noise Schedule for Diffusion
    /// Training").
    /// </summary>
    /// <param name="steps">T, at least 1. The default is 1000.</param>
    /// <param name="location">The log-SNR at t = 1/2, in nats. The default is 0.</param>
    /// <param name="scale">
    /// The mean absolute deviation of the log-SNR from <paramref name="location"/>, in nats. The default is 1/2, as in the paper.
    /// </param>
    /// <param name="maxBeta">
    /// The greatest beta, in (0, 1]. A value less than 1 leaves some signal in the last step. The default is 0.999.
    /// </param>
    /// <param name="logger">
    /// The logger. It receives a warning if the last step still contains signal. The default is <see langword="null"/>: no warning.
    /// </param>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Laplace(
        int steps = 1000, double location = 0.0, double scale = 0.5, double maxBeta = 0.999, ILogger? logger = null)
    {
        Guard.InRange(location, double.MinValue, double.MaxValue);
        Guard.Positive(scale);
        return FromAlphaBar(
            t => SpecialFunctions.Logistic(location - (scale * Math.Sign(0.5 - t) * Math.Log(1.0 - (2.0 * Math.Abs(t - 0.5))))),
            steps,
            maxBeta,
            logger);
    }

    /// <summary>
    /// Creates the "laplace" schedule of diffusers, for networks that were trained with it. It differs from <see cref="Laplace"/> in
    /// two ways: 1e-6 is added to the argument of the logarithm, and abar is the square root of that of the paper, so that the last
    /// step still contains signal.
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule LaplaceRoot(int steps = 1000, double maxBeta = 0.999, ILogger? logger = null)
        => FromAlphaBar(
            t => Math.Sqrt(SpecialFunctions.Logistic(
                -0.5 * Math.CopySign(1.0, 0.5 - t) * Math.Log(1.0 - (2.0 * Math.Abs(0.5 - t)) + 1e-6))),
            steps,
            maxBeta,
            logger);

    /// <summary>
    /// Creates the cosine schedule, shifted for the resolution of the images: T steps of
    /// <see cref="ResolutionShiftedSchedule.Shifted"/> (Hoogeboom et al. 2023).
    /// </summary>
    /// <param name="imageSize">The width of the images in pixels.</param>
    /// <param name="steps">T, at least 1. The default is 1000.</param>
    /// <param name="noiseSize">
    /// The width of the images for which the cosine schedule is not shifted, in pixels. The default is 64.
    /// </param>
    /// <param name="logger">
    /// The logger. It receives a warning if the last step still contains signal. The default is <see langword="null"/>: no warning.
    /// </param>
    /// <exception cref="ArgumentException">A number is outside its range, or the log-SNR would not decrease.</exception>
    public static DiscreteSchedule CosineShifted(int imageSize, int steps = 1000, int noiseSize = 64, ILogger? logger = null)
        => Discretise(ResolutionShiftedSchedule.Shifted(imageSize, noiseSize), steps, logger);

    /// <summary>
    /// Creates the cosine schedule, interpolated between two shifts for the resolution: T steps of
    /// <see cref="ResolutionShiftedSchedule.Interpolated"/> (Hoogeboom et al. 2023).
    /// </summary>
    /// <param name="imageSize">The width of the images in pixels.</param>
    /// <param name="steps">T, at least 1. The default is 1000.</param>
    /// <param name="noiseSizeLow">The width that determines the shift at the greatest noise, in pixels. The default is 32.</param>
    /// <param name="noiseSizeHigh">
    /// The width that determines the shift at the least noise, in pixels. The default is the width of the images.
    /// </param>
    /// <param name="logger">
    /// The logger. It receives a warning if the last step still contains signal. The default is <see langword="null"/>: no warning.
    /// </param>
    /// <exception cref="ArgumentException">A number is outside its range, or the log-SNR would not decrease.</exception>
    public static DiscreteSchedule CosineInterpolated(
        int imageSize, int steps = 1000, int noiseSizeLow = 32, int? noiseSizeHigh = null, ILogger? logger = null)
        => Discretise(ResolutionShiftedSchedule.Interpolated(imageSize, noiseSizeLow, noiseSizeHigh), steps, logger);

    /// <summary>
    /// Creates a schedule of T steps from another schedule, at T equally spaced times in (MinTime, MaxTime]. The result is variance
    /// preserving: it has the log-SNR of the original, with alpha^2 + sigma^2 = 1.
    /// </summary>
    /// <param name="schedule">Any schedule whose log-SNR decreases strictly.</param>
    /// <param name="steps">T, at least 1.</param>
    /// <param name="logger">
    /// The logger. It receives a warning if the last step still contains signal. The default is <see langword="null"/>: no warning.
    /// </param>
    /// <exception cref="ArgumentException">The log-SNR does not decrease strictly, or a number is outside its range.</exception>
    public static DiscreteSchedule Discretise(INoiseSchedule schedule, int steps, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        Guard.InRange(steps, 1, int.MaxValue);
        var betas = new double[steps];
        var previous = NoiseLevel.Clean;
        for (var i = 0; i < steps; i++)
        {
            var t = schedule.MinTime + ((schedule.MaxTime - schedule.MinTime) * ((i + 1.0) / steps));
            var level = schedule.LevelAt(Math.Min(t, schedule.MaxTime));
            var scale = 1.0 / Math.Sqrt((level.Alpha * level.Alpha) + (level.Sigma * level.Sigma));
            level = new NoiseLevel(scale * level.Alpha, scale * level.Sigma);
            if (!(level.LogSnr < previous.LogSnr))
                throw new ArgumentException(
                    Invariant($"The log-SNR of a schedule must fall strictly, got {previous.LogSnr:R} and then {level.LogSnr:R} ")
                    + Invariant($"at t = {t:R}."),
                    nameof(schedule));
            betas[i] = level.Alpha == 0.0 ? 1.0 : GaussianTransition.Variance(level, previous);
            previous = level;
        }

        return new DiscreteSchedule(betas, logger);
    }
}
