using Diffusion.Core.Schedules;
using MathNet.Numerics.Distributions;

namespace Diffusion.Core.Losses;

/// <summary>
/// A distribution over the times of a schedule, represented by its quantile function, which maps a uniform draw to a time. A
/// distribution is defined either over the time, relative to the range of the schedule, or over the noise level.
/// </summary>
public abstract class TimeDistribution
{
    /// <summary>The standard name of the distribution, such as <c>log-normal</c>.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// Returns the quantile of the distribution: the time below which a fraction <paramref name="u"/> of the draws falls.
    /// </summary>
    /// <param name="schedule">The schedule whose times are drawn.</param>
    /// <param name="u">The fraction, in [0, 1].</param>
    /// <returns>A time of the schedule, which increases with u. For a discrete schedule, it is an index.</returns>
    public abstract double Quantile(INoiseSchedule schedule, double u);

    /// <summary>The uniform distribution over the time (Ho et al. 2020, algorithm 1).</summary>
    public static TimeDistribution Uniform { get; } = OfTime("uniform", u => u);

    /// <summary>
    /// The uniform distribution over the log-SNR between the ends of the schedule. Both ends must have a finite log-SNR.
    /// </summary>
    public static TimeDistribution UniformLogSnr { get; } = new EvenLogSnr();

    /// <summary>
    /// The CosMap distribution over the time, with the density 2 / (pi (1 - 2 s + 2 s^2)) of s in [0, 1] (Esser et al. 2024, section
    /// 3.1).
    /// </summary>
    public static TimeDistribution CosMap { get; } = OfTime("cosmap", FlowDensity.CosMapQuantile);

    /// <summary>
    /// Creates a distribution over the noise level with log(sigma / alpha) from N(mean, std^2), the log-normal noise of EDM (Karras et
    /// al. 2022, table 1). For the straight path of flow matching, it is equal to <see cref="LogitNormal"/> with the same parameters.
    /// </summary>
    /// <param name="mean">P_mean, finite. The default is -1.2.</param>
    /// <param name="std">P_std, finite and greater than 0. The default is 1.2.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is outside its range.</exception>
    public static TimeDistribution LogNormal(double mean = -1.2, double std = 1.2)
    {
        Guard.InRange(mean, double.MinValue, double.MaxValue);
        Guard.Positive(std);
        return OfLogSnr("log-normal", u => -2.0 * Normal.InvCDF(mean, std, u));
    }

    /// <summary>
    /// Creates a distribution over the noise level, whose log-SNR has a Laplace distribution (Hang et al. 2024, "Improved Noise
    /// Schedule for Diffusion Training", section 3).
    /// </summary>
    /// <param name="mean">The mean log-SNR, finite. The default is 0.</param>
    /// <param name="scale">
    /// The mean absolute deviation of the log-SNR from <paramref name="mean"/>, finite and greater than 0. The default is 0.5.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">A number is outside its range.</exception>
    public static TimeDistribution Laplace(double mean = 0.0, double scale = 0.5)
    {
        Guard.InRange(mean, double.MinValue, double.MaxValue);
        Guard.Positive(scale);
        return OfLogSnr("laplace", u => mean - (scale * (u < 0.5 ? Math.Log(2.0 * u) : -Math.Log(2.0 * (1.0 - u)))));
    }

    /// <summary>
    /// Creates a distribution over the time s in [0, 1] whose logit is from N(mean, std^2) (Esser et al. 2024, section 3.1).
    /// </summary>
    /// <param name="mean">The mean of the logit, finite. Values greater than 0 draw noisier times more often. The default is 0.</param>
    /// <param name="std">The standard deviation of the logit, finite and greater than 0. The default is 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is outside its range.</exception>
    public static TimeDistribution LogitNormal(double mean = 0.0, double std = 1.0)
    {
        Guard.InRange(mean, double.MinValue, double.MaxValue);
        Guard.Positive(std);
        return OfTime("logit-normal", u => FlowDensity.LogitNormalQuantile(u, mean, std));
    }

    /// <summary>Creates the distribution over the time of mode sampling with heavy tails (Esser et al. 2024, eq. 20).</summary>
    /// <param name="scale">
    /// The scale, in [-1, 2 / (pi - 2)]. With values greater than 0, times in the middle are drawn more often, and with values less
    /// than 0, times near the ends. The default is 1.29.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The scale is outside its range.</exception>
    public static TimeDistribution Mode(double scale = 1.29)
    {
        Guard.InRange(scale, -1.0, 2.0 / (Math.PI - 2.0));
        return OfTime("mode", u => FlowDensity.ModeQuantile(u, scale));
    }

    /// <summary>
    /// Creates the distribution over the noise level of uniformly distributed times of a cosine schedule. The schedule is shifted for
    /// one image size at the most noise and for another at the least noise, and interpolated in between (Hoogeboom et al. 2023,
    /// "Simple Diffusion", section 3.1; cosine-interpolated in k-diffusion).
    /// </summary>
    /// <param name="imageSize">The size of the images, in pixels.</param>
    /// <param name="lowSize">The image size of the cosine schedule at the most noise. The default is 32.</param>
    /// <param name="highSize">The image size of the cosine schedule at the least noise. The default is 64.</param>
    /// <param name="sigmaData">The standard deviation of the data. The default is 0.5.</param>
    /// <param name="minSigma">The least sigma / alpha. The default is 1e-3.</param>
    /// <param name="maxSigma">The greatest sigma / alpha. The default is 1e3.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A number is not finite and greater than 0, or <paramref name="maxSigma"/> is less than <paramref name="minSigma"/>.
    /// </exception>
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

        // The cosine schedule is truncated so that the shifted schedule runs from minSigma to maxSigma.
        Func<double, double> ShiftedCosine(double ratio)
        {
            var first = Math.Atan(minSigma / sigmaData * ratio);
            var last = Math.Atan(maxSigma / sigmaData * ratio);
            return u => -2.0 * Math.Log(Math.Tan(first + (u * (last - first))) / ratio);
        }
    }

    /// <summary>
    /// Creates the distribution of the noise levels of one schedule at uniformly distributed times, for a network that is trained with
    /// another schedule.
    /// </summary>
    /// <param name="noise">The schedule whose noise levels are drawn.</param>
    public static TimeDistribution NoiseOf(INoiseSchedule noise)
    {
        ArgumentNullException.ThrowIfNull(noise);
        return OfLogSnr("noise-of", u => noise.LogSnr(Math.Min(noise.MinTime + (u * (noise.MaxTime - noise.MinTime)), noise.MaxTime)));
    }

    /// <summary>
    /// Creates a distribution over the time from the quantile function of the relative time: 0 at the least noise, 1 at the most
    /// noise.
    /// </summary>
    /// <param name="name">The standard name of the distribution.</param>
    /// <param name="quantile">A non-decreasing function from [0, 1] to [0, 1].</param>
    public static TimeDistribution OfTime(string name, Func<double, double> quantile)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(quantile);
        return new ShareDistribution(name, quantile);
    }

    /// <summary>Creates a distribution over the noise level from the quantile function of the noise, expressed as a log-SNR.</summary>
    /// <param name="name">The standard name of the distribution.</param>
    /// <param name="logSnr">
    /// A non-increasing function from [0, 1] to the log-SNR in nats. It is greatest at 0, which corresponds to the least noise.
    /// </param>
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
            throw new ArgumentException("A distribution of training times must return a log-SNR, got NaN.", nameof(logSnr));
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
                    Invariant($"A uniform distribution requires a schedule whose log-SNR is finite at both ends, got {first} and {last}."),
                    nameof(schedule));
        }
    }
}
