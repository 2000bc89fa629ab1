using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Schedules;

/// <summary>
/// The T-step schedule of DDPM and its tables: beta_t, abar_t = prod(1 - beta_s) and the posterior coefficients, all in double
/// precision. Times are the indices 0..T-1; index 0 is the first noise step (the paper's t = 1). Immutable.
/// </summary>
/// <remarks>Source: Ho, Jain and Abbeel 2020, "Denoising Diffusion Probabilistic Models", section 2, eq. 4 to 7.</remarks>
public sealed partial class DiscreteSchedule : INoiseSchedule
{
    /// <summary>Above this terminal log-SNR (in nats) the last step still shows the data, and sampling from N(0, I) is off.</summary>
    public const double TerminalLogSnrWarning = -5.0;

    private readonly double[] _betas;
    private readonly double[] _alphaBars;
    private readonly NoiseLevel[] _levels;
    private readonly double[] _posteriorVariance;
    private readonly double[] _posteriorLogVariance;
    private readonly double[] _posteriorMean1;
    private readonly double[] _posteriorMean2;

    private DiscreteSchedule(double[] betas, ILogger? logger)
    {
        Validate(betas);
        var steps = betas.Length;
        _betas = betas;
        _alphaBars = new double[steps];
        _levels = new NoiseLevel[steps];
        _posteriorVariance = new double[steps];
        _posteriorLogVariance = new double[steps];
        _posteriorMean1 = new double[steps];
        _posteriorMean2 = new double[steps];
        var previous = 1.0;
        for (var t = 0; t < steps; t++)
        {
            var beta = betas[t];
            var bar = previous * (1.0 - beta);
            _alphaBars[t] = bar;
            _levels[t] = new NoiseLevel(Math.Sqrt(bar), Math.Sqrt(1.0 - bar));
            _posteriorVariance[t] = beta * (1.0 - previous) / (1.0 - bar);
            _posteriorLogVariance[t] = Math.Log(_posteriorVariance[t]);
            _posteriorMean1[t] = beta * Math.Sqrt(previous) / (1.0 - bar);
            _posteriorMean2[t] = (1.0 - previous) * Math.Sqrt(1.0 - beta) / (1.0 - bar);
            previous = bar;
        }

        _posteriorLogVariance[0] = steps > 1 ? _posteriorLogVariance[1] : Math.Log(betas[0]);
        var terminal = _levels[^1].LogSnr;
        if (logger is not null && terminal > TerminalLogSnrWarning)
            LogTerminalSignal(logger, steps, terminal, TerminalLogSnrWarning);
    }

    /// <summary>T, the number of noise steps.</summary>
    public int Steps => _betas.Length;

    /// <inheritdoc/>
    public double MinTime => 0.0;

    /// <inheritdoc/>
    public double MaxTime => _betas.Length - 1.0;

    /// <summary>[T] beta_t, the variance of q(x_t | x_{t-1}).</summary>
    public ReadOnlySpan<double> Betas => _betas;

    /// <summary>[T] abar_t = prod_{s &lt;= t} (1 - beta_s), the squared scale of the data in x_t.</summary>
    public ReadOnlySpan<double> AlphaBars => _alphaBars;

    /// <summary>[T] the variance of q(x_{t-1} | x_t, x_0), eq. 7; zero at t = 0.</summary>
    public ReadOnlySpan<double> PosteriorVariance => _posteriorVariance;

    /// <summary>
    /// [T] the logarithm of <see cref="PosteriorVariance"/>; at t = 0, where that is zero, the value of t = 1 (log beta_0 if there is
    /// none), so that it is finite.
    /// </summary>
    public ReadOnlySpan<double> PosteriorLogVariance => _posteriorLogVariance;

    /// <summary>[T] the coefficient of x_0 in the mean of q(x_{t-1} | x_t, x_0), eq. 7.</summary>
    public ReadOnlySpan<double> PosteriorMeanCoefficient1 => _posteriorMean1;

    /// <summary>[T] the coefficient of x_t in the mean of q(x_{t-1} | x_t, x_0), eq. 7.</summary>
    public ReadOnlySpan<double> PosteriorMeanCoefficient2 => _posteriorMean2;

    /// <summary>
    /// Betas equally spaced (Ho et al. 2020, section 4). Nothing is scaled with T: for fewer than 1000 steps choose the ends, or use
    /// <c>1000 / steps</c> times the defaults, as OpenAI's code does.
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Linear(int steps = 1000, double betaStart = 1e-4, double betaEnd = 0.02, ILogger? logger = null)
        => new(Space(steps, betaStart, betaEnd), logger);

    /// <summary>
    /// Betas whose square roots are equally spaced (latent diffusion's "linear", diffusers' "scaled_linear"; Rombach et al. 2022).
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule ScaledLinear(
        int steps = 1000, double betaStart = 0.00085, double betaEnd = 0.012, ILogger? logger = null)
    {
        Guard.InRange(betaStart, 0.0, 1.0);
        Guard.InRange(betaEnd, 0.0, 1.0);
        var betas = Space(steps, Math.Sqrt(betaStart), Math.Sqrt(betaEnd));
        for (var t = 0; t < betas.Length; t++)
            betas[t] *= betas[t];
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

    /// <summary>A schedule from its betas.</summary>
    /// <exception cref="ArgumentException">No steps, a beta outside (0, 1], or a beta of 1 before the last.</exception>
    public static DiscreteSchedule FromBetas(ReadOnlySpan<double> betas, ILogger? logger = null) => new(betas.ToArray(), logger);

    /// <summary>
    /// A schedule from abar(t), t in [0, 1], at i / T: beta_i = 1 - abar((i + 1) / T) / abar(i / T), at most <paramref name="maxBeta"/>.
    /// </summary>
    /// <param name="alphaBar">Positive before t = 1, finite and strictly falling; only its ratios count.</param>
    /// <param name="steps">T, at least 1.</param>
    /// <param name="maxBeta">In (0, 1]; below 1 it keeps some signal to the end.</param>
    /// <param name="logger">Told when the last step still shows the data.</param>
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
    /// T steps of another schedule, at T times spread evenly over (MinTime, MaxTime]. The result preserves variance: it has the
    /// log-SNR of the original, with alpha^2 + sigma^2 = 1.
    /// </summary>
    /// <param name="schedule">Any schedule whose log-SNR falls.</param>
    /// <param name="steps">T, at least 1.</param>
    /// <param name="logger">Told when the last step still shows the data.</param>
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

    /// <summary>alpha and sigma at <paramref name="t"/>; between indices the log-SNR is interpolated linearly.</summary>
    /// <param name="t">A time in [0, T-1], not necessarily whole.</param>
    /// <exception cref="ArgumentOutOfRangeException">t lies outside [0, T-1].</exception>
    /// <remarks>In a last step to no signal at all, whose log-SNR is infinite, it is alpha that is interpolated linearly.</remarks>
    public NoiseLevel LevelAt(double t)
    {
        Guard.InRange(t, 0.0, MaxTime);
        var index = (int)t;
        var fraction = t - index;
        var low = _levels[index];
        if (fraction == 0.0)
            return low;
        var high = _levels[index + 1];
        if (high.Alpha > 0.0)
            return NoiseLevel.FromLogSnr(low.LogSnr + (fraction * (high.LogSnr - low.LogSnr)));
        var alpha = (1.0 - fraction) * low.Alpha;
        return new NoiseLevel(alpha, Math.Sqrt(1.0 - (alpha * alpha)));
    }

    /// <summary>The level one step before index <paramref name="t"/>: that of t - 1, or no noise at all before index 0.</summary>
    /// <exception cref="ArgumentOutOfRangeException">t lies outside [0, T-1].</exception>
    public NoiseLevel PreviousLevel(int t)
    {
        Guard.InRange(t, 0, Steps - 1);
        return t == 0 ? NoiseLevel.Clean : _levels[t - 1];
    }

    private static double[] Space(int steps, double first, double last)
    {
        Guard.InRange(steps, 1, int.MaxValue);
        var values = new double[steps];
        for (var i = 0; i < steps; i++)
            values[i] = steps == 1 ? first : first + ((last - first) * i / (steps - 1));
        return values;
    }

    private static void Validate(double[] betas)
    {
        if (betas.Length == 0)
            throw new ArgumentException("A schedule needs at least one step, got no betas.", nameof(betas));
        for (var t = 0; t < betas.Length; t++)
        {
            if (!(betas[t] > 0.0 && betas[t] <= 1.0))
                throw new ArgumentException($"Every beta must lie in (0, 1], got beta[{t}] = {betas[t]:R}.", nameof(betas));
            if (1.0 - betas[t] == 1.0)
                throw new ArgumentException(
                    $"A beta below 1e-16 changes nothing in double precision, got beta[{t}] = {betas[t]:R}.", nameof(betas));
            if (betas[t] == 1.0 && t + 1 < betas.Length)
                throw new ArgumentException(
                    $"A beta of 1 destroys all signal and may only be the last, got beta[{t}] = 1 of {betas.Length}.", nameof(betas));
        }
    }

    [LoggerMessage(
        EventId = 1,
        Level = LogLevel.Warning,
        Message = "The log-SNR after {Steps} steps is {LogSnr:F2}, above {Limit}: the data still shows where sampling starts from noise.")]
    private static partial void LogTerminalSignal(ILogger logger, int steps, double logSnr, double limit);
}
