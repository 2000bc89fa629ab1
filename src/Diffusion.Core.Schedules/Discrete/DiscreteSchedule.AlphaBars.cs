using MathNet.Numerics;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Schedules;

public sealed partial class DiscreteSchedule
{
    /// <summary>
    /// A schedule from abar(t), t in [0, 1], at i / T: beta_i = 1 - abar((i + 1) / T) / abar(i / T), at most <paramref name="maxBeta"/>.
    /// </summary>
    /// <param name="alphaBar">Positive before t = 1, finite and strictly falling; only its ratios count.</param>
    /// <param name="steps">T, at least 1.</param>
    /// <param name="maxBeta">In (0, 1]; below 1 it keeps some signal to the end.</param>
    /// <param name="logger">The logger that receives a warning when the last step still has signal.</param>
    /// <exception cref="ArgumentException">abar(t) does not fall, or a number lies outside its range.</exception>
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
                    $"abar(t) must fall strictly, finite and not below 0, got {previous:R} at t = {(double)i / steps:R} " +
                    $"and {next:R} at t = {(i + 1.0) / steps:R}.",
                    nameof(alphaBar));
            betas[i] = Math.Min(1.0 - (next / previous), maxBeta);
            previous = next;
        }

        return new DiscreteSchedule(betas, logger);
    }

    /// <summary>
    /// abar(t) = cos^2((t + s) / (1 + s) pi / 2) with s the offset (Nichol and Dhariwal 2021, eq. 17), betas at most
    /// <paramref name="maxBeta"/>.
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
    /// abar(t) a falling logistic curve, stretched to run from 1 to 0 (Jabri et al. 2022, "Scalable Adaptive Computation"; Chen 2023, "On
    /// the Importance of Noise Scheduling"). Not the "sigmoid" of diffusers, which is <see cref="SigmoidBeta"/>.
    /// </summary>
    /// <param name="steps">T, at least 1.</param>
    /// <param name="start">Where on the curve t = 0 is; -3 in the papers, 0 for more noise early.</param>
    /// <param name="end">Where on the curve t = 1 is, above <paramref name="start"/>.</param>
    /// <param name="tau">The temperature, by which both are divided.</param>
    /// <param name="maxBeta">In (0, 1]; below 1 it keeps some signal to the end.</param>
    /// <param name="logger">The logger that receives a warning when the last step still has signal.</param>
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

    /// <summary>abar(t) = e^(-rate t): the "exp" of diffusers, whose rate is 12. The same beta everywhere.</summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Exponential(int steps = 1000, double rate = 12.0, double maxBeta = 0.999, ILogger? logger = null)
    {
        Guard.Positive(rate);
        return FromAlphaBar(t => Math.Exp(-rate * t), steps, maxBeta, logger);
    }

    /// <summary>
    /// A log-SNR with the Laplace distribution over the steps, most of them about <paramref name="location"/>: <c>logSNR(t) = location -
    /// scale sgn(1/2 - t) log(1 - 2 |t - 1/2|)</c> (Hang et al. 2024, "Improved Noise Schedule for Diffusion Training").
    /// </summary>
    /// <param name="steps">T, at least 1.</param>
    /// <param name="location">The log-SNR of the middle, in nats.</param>
    /// <param name="scale">The mean distance from it, in nats; 1/2 in the paper.</param>
    /// <param name="maxBeta">In (0, 1]; below 1 it keeps some signal to the end.</param>
    /// <param name="logger">The logger that receives a warning when the last step still has signal.</param>
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
    /// The "laplace" of diffusers: <see cref="Laplace"/> cut off at 1e-6, with abar the root of that of the paper, which leaves
    /// signal to the end. For networks trained with it.
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
    /// The cosine schedule for images larger than the one it suits: T steps of <see cref="ResolutionShiftedSchedule.Shifted"/> (Hoogeboom
    /// et al. 2023).
    /// </summary>
    /// <param name="imageSize">The width of the images in pixels.</param>
    /// <param name="steps">T, at least 1.</param>
    /// <param name="noiseSize">The width at which the noise is that of the plain schedule.</param>
    /// <param name="logger">The logger that receives a warning when the last step still has signal.</param>
    /// <exception cref="ArgumentException">A number lies outside its range.</exception>
    public static DiscreteSchedule CosineShifted(int imageSize, int steps = 1000, int noiseSize = 64, ILogger? logger = null)
        => Discretise(ResolutionShiftedSchedule.Shifted(imageSize, noiseSize), steps, logger);

    /// <summary>
    /// The cosine schedule between two shifts by resolution: T steps of <see cref="ResolutionShiftedSchedule.Interpolated"/> (Hoogeboom et
    /// al. 2023).
    /// </summary>
    /// <param name="imageSize">The width of the images in pixels.</param>
    /// <param name="steps">T, at least 1.</param>
    /// <param name="noiseSizeLow">The width of the shift at the end of most noise.</param>
    /// <param name="noiseSizeHigh">The width of the shift at the data. The default is the width of the images.</param>
    /// <param name="logger">The logger that receives a warning when the last step still has signal.</param>
    /// <exception cref="ArgumentException">A number lies outside its range.</exception>
    public static DiscreteSchedule CosineInterpolated(
        int imageSize, int steps = 1000, int noiseSizeLow = 32, int? noiseSizeHigh = null, ILogger? logger = null)
        => Discretise(ResolutionShiftedSchedule.Interpolated(imageSize, noiseSizeLow, noiseSizeHigh), steps, logger);

    /// <summary>
    /// T steps of another schedule, at T times spread evenly over (MinTime, MaxTime]. The result preserves variance: it has the
    /// log-SNR of the original, with alpha^2 + sigma^2 = 1.
    /// </summary>
    /// <param name="schedule">Any schedule whose log-SNR falls.</param>
    /// <param name="steps">T, at least 1.</param>
    /// <param name="logger">The logger that receives a warning when the last step still has signal.</param>
    /// <exception cref="ArgumentException">The log-SNR does not fall, or a number lies outside its range.</exception>
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
                    $"The log-SNR of a schedule must fall, got {previous.LogSnr:R} before and {level.LogSnr:R} at t = {t:R}.",
                    nameof(schedule));
            betas[i] = level.Alpha == 0.0 ? 1.0 : GaussianTransition.Variance(level, previous);
            previous = level;
        }

        return new DiscreteSchedule(betas, logger);
    }
}
