using Diffusion.Core.Schedules;
using MathNet.Numerics.Distributions;

namespace Diffusion.Core.Losses;

/// <summary>A distribution over the times of a schedule, as the quantile function that turns an even draw into a time.</summary>
public abstract class TimeDistribution
{
    /// <summary>The field's name of the distribution, such as <c>log-normal</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The time below which a share <paramref name="u"/> of the draws lies.</summary>
    /// <param name="schedule">The schedule whose times are drawn.</param>
    /// <param name="u">In [0, 1].</param>
    /// <returns>A time of the schedule, growing with u; for a discrete one, an index.</returns>
    public abstract double Quantile(INoiseSchedule schedule, double u);

    /// <summary>Every time alike (Ho et al. 2020, algorithm 1). Over the time.</summary>
    public static TimeDistribution Uniform { get; } = OfTime("uniform", u => u);

    /// <summary>Every log-SNR of the schedule alike; its ends need noise and signal. Over the noise level.</summary>
    public static TimeDistribution UniformLogSnr { get; } = new EvenLogSnr();

    /// <summary>The density 2 / (pi (1 - 2 s + 2 s^2)) (Esser et al. 2024, section 3.1). Over the time.</summary>
    public static TimeDistribution CosMap { get; } = OfTime("cosmap", FlowDensity.CosMapQuantile);

    /// <summary>
    /// log(sigma / alpha) from N(mean, std^2), the log-normal noise of EDM (Karras et al. 2022, table 1). On the straight path
    /// this is <see cref="LogitNormal"/> with the same numbers. Over the noise level.
    /// </summary>
    /// <param name="mean">P_mean, finite.</param>
    /// <param name="std">P_std, finite and greater than 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of range.</exception>
    public static TimeDistribution LogNormal(double mean = -1.2, double std = 1.2)
    {
        Guard.InRange(mean, double.MinValue, double.MaxValue);
        Guard.Positive(std);
        return OfLogSnr("log-normal", u => -2.0 * Normal.InvCDF(mean, std, u));
    }

    /// <summary>
    /// The log-SNR from a Laplace distribution (Hang et al. 2024, "Improved Noise Schedule for Diffusion Training", section 3). Over the
    /// noise level.
    /// </summary>
    /// <param name="mean">Where the log-SNR is densest, finite.</param>
    /// <param name="scale">The mean distance from there, finite and greater than 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of range.</exception>
    public static TimeDistribution Laplace(double mean = 0.0, double scale = 0.5)
    {
        Guard.InRange(mean, double.MinValue, double.MaxValue);
        Guard.Positive(scale);
        return OfLogSnr("laplace", u => mean - (scale * (u < 0.5 ? Math.Log(2.0 * u) : -Math.Log(2.0 * (1.0 - u)))));
    }

    /// <summary>The logit of s from N(mean, std^2) (Esser et al. 2024, section 3.1). Over the time.</summary>
    /// <param name="mean">Above 0, more noise.</param>
    /// <param name="std">Finite and greater than 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of range.</exception>
    public static TimeDistribution LogitNormal(double mean = 0.0, double std = 1.0)
    {
        Guard.InRange(mean, double.MinValue, double.MaxValue);
        Guard.Positive(std);
        return OfTime("logit-normal", u => FlowDensity.LogitNormalQuantile(u, mean, std));
    }

    /// <summary>Mode sampling with heavy tails (Esser et al. 2024, eq. 20). Over the time.</summary>
    /// <param name="scale">In [-1, 2 / (pi - 2)]: above 0 the middle is drawn more often, below 0 the ends.</param>
    /// <exception cref="ArgumentOutOfRangeException">The scale lies outside its range.</exception>
    public static TimeDistribution Mode(double scale = 1.29)
    {
        Guard.InRange(scale, -1.0, 2.0 / (Math.PI - 2.0));
        return OfTime("mode", u => FlowDensity.ModeQuantile(u, scale));
    }

    /// <summary>
    /// Evenly over the time of a cosine schedule that is shifted to one size of image at much noise and to another at little, and
    /// interpolated in between (Hoogeboom et al. 2023, "Simple Diffusion", section 3.1; k-diffusion's cosine-interpolated). Over the noise
    /// level.
    /// </summary>
    /// <param name="imageSize">The size of the images.</param>
    /// <param name="lowSize">The size whose cosine schedule holds at the most noise.</param>
    /// <param name="highSize">The size whose cosine schedule holds at the least noise.</param>
    /// <param name="sigmaData">The standard deviation of the data.</param>
    /// <param name="minSigma">The least sigma / alpha.</param>
    /// <param name="maxSigma">The greatest sigma / alpha.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not finite and greater than 0, or the sigmas are not in order.</exception>
    public static TimeDistribution CosineInterpolated(
        double imageSize,
        double lowSize = 32.0,
        double highSize = 64.0,
        double sigmaData = 0.5,
        double minSigma = 1e-3,
        double maxSigma = 1e3)
    {
        Guard.Positive(imageSize);
        Guard.Positive(sigmaData);
        Guard.InRange(Guard.Positive(maxSigma), Guard.Positive(minSigma), double.MaxValue);
        var low = ShiftedCosine(Guard.Positive(lowSize) / imageSize);
        var high = ShiftedCosine(Guard.Positive(highSize) / imageSize);
        return OfLogSnr("cosine-interpolated", u => -2.0 * Math.Log(sigmaData) + (u * low(u)) + ((1.0 - u) * high(u)));

        // The cosine schedule is cut so that, shifted, it runs between the same two noise levels.
        Func<double, double> ShiftedCosine(double ratio)
        {
            var first = Math.Atan(minSigma / sigmaData * ratio);
            var last = Math.Atan(maxSigma / sigmaData * ratio);
            return u => -2.0 * Math.Log(Math.Tan(first + (u * (last - first))) / ratio);
        }
    }

    /// <summary>The noise levels of one schedule at even times, for a network that is trained on another.</summary>
    /// <param name="noise">The schedule whose noise levels are drawn.</param>
    public static TimeDistribution NoiseOf(INoiseSchedule noise)
    {
        ArgumentNullException.ThrowIfNull(noise);
        return OfLogSnr("noise-of", u => noise.LogSnr(Math.Min(noise.MinTime + (u * (noise.MaxTime - noise.MinTime)), noise.MaxTime)));
    }

    /// <summary>A distribution over the time, from the quantile function of its share of the way.</summary>
    /// <param name="name">The field's name.</param>
    /// <param name="quantile">From [0, 1] to [0, 1], growing.</param>
    public static TimeDistribution OfTime(string name, Func<double, double> quantile)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(quantile);
        return new ShareDistribution(name, quantile);
    }

    /// <summary>A distribution over the noise level, from the quantile function of the log-SNR.</summary>
    /// <param name="name">The field's name.</param>
    /// <param name="logSnr">From [0, 1] to the log-SNR in nats, falling: the greatest at 0, as the least noise comes first.</param>
    public static TimeDistribution OfLogSnr(string name, Func<double, double> logSnr)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(logSnr);
        return new LogSnrDistribution(name, logSnr);
    }

    private static double TimeOf(INoiseSchedule schedule, double logSnr)
    {
        var (first, last) = (schedule.LogSnr(schedule.MinTime), schedule.LogSnr(schedule.MaxTime));
        if (double.IsNaN(logSnr))
            throw new ArgumentException("A distribution of training times drew a log-SNR that is not a number.", nameof(logSnr));
        var time = logSnr >= first ? schedule.MinTime : logSnr <= last ? schedule.MaxTime : schedule.TimeOf(logSnr);
        return schedule is DiscreteSchedule ? Math.Round(time) : time;
    }

    private sealed class ShareDistribution(string name, Func<double, double> quantile) : TimeDistribution
    {
        public override string Name => name;

        public override double Quantile(INoiseSchedule schedule, double u)
        {
            ArgumentNullException.ThrowIfNull(schedule);
            var share = Math.Clamp(quantile(Guard.InRange(u, 0.0, 1.0)), 0.0, 1.0);
            return schedule is DiscreteSchedule discrete
                ? Math.Min(Math.Floor(share * discrete.Steps), discrete.Steps - 1.0)
                : Math.Min(schedule.MinTime + (share * (schedule.MaxTime - schedule.MinTime)), schedule.MaxTime);
        }
    }

    private sealed class LogSnrDistribution(string name, Func<double, double> logSnr) : TimeDistribution
    {
        public override string Name => name;

        public override double Quantile(INoiseSchedule schedule, double u)
        {
            ArgumentNullException.ThrowIfNull(schedule);
            return TimeOf(schedule, logSnr(Guard.InRange(u, 0.0, 1.0)));
        }
    }

    private sealed class EvenLogSnr : TimeDistribution
    {
        public override string Name => "uniform-log-snr";

        public override double Quantile(INoiseSchedule schedule, double u)
        {
            ArgumentNullException.ThrowIfNull(schedule);
            Guard.InRange(u, 0.0, 1.0);
            var (first, last) = (schedule.LogSnr(schedule.MinTime), schedule.LogSnr(schedule.MaxTime));
            return double.IsFinite(first) && double.IsFinite(last)
                ? TimeOf(schedule, first + (u * (last - first)))
                : throw new ArgumentException(
                    $"The log-SNR of the schedule must be finite at both ends to be drawn evenly, got {first} and {last}.",
                    nameof(schedule));
        }
    }
}
