using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Schedules;

/// <summary>
/// The T-step schedule of DDPM and its tables: beta_t, abar_t = prod(1 - beta_s) and the posterior coefficients, all in double
/// precision. Times are the indices 0..T-1; index 0 is the first noise step (t = 1 in the paper). Immutable. The static methods create
/// the standard schedules.
/// </summary>
/// <remarks>Source: Ho, Jain and Abbeel 2020, "Denoising Diffusion Probabilistic Models", section 2, eq. 4 to 7.</remarks>
public sealed partial class DiscreteSchedule : INoiseSchedule
{
    /// <summary>
    /// The log-SNR of the last step, in nats, above which a warning is logged: the last step still contains signal, so that sampling
    /// from N(0, I) does not start from the distribution seen in training.
    /// </summary>
    public const double TerminalLogSnrWarning = -5.0;

    private readonly double[] _betas;
    private readonly double[] _alphaBars;
    private readonly NoiseLevel[] _levels;
    private readonly double[] _posteriorVariance;
    private readonly double[] _posteriorLogVariance;
    private readonly double[] _posteriorMean1;
    private readonly double[] _posteriorMean2;
    private readonly double[] _logSnrs;
    private readonly double[]? _networkTimes;

    private DiscreteSchedule(double[] betas, ILogger? logger, double[]? networkTimes = null)
    {
        Validate(betas);
        _networkTimes = networkTimes;
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

        _logSnrs = Array.ConvertAll(_levels, level => level.LogSnr);
        _posteriorLogVariance[0] = steps > 1 ? _posteriorLogVariance[1] : Math.Log(betas[0]);
        var terminal = _logSnrs[^1];
        if (logger is not null && terminal > TerminalLogSnrWarning)
            LogTerminalSignal(logger, steps, terminal, TerminalLogSnrWarning);
    }

    /// <summary>T, the number of noise steps.</summary>
    public int Steps => _betas.Length;

    /// <inheritdoc/>
    public double MinTime => 0.0;

    /// <inheritdoc/>
    public double MaxTime => _betas.Length - 1.0;

    /// <summary>
    /// Whether the network receives the timesteps of another schedule, such as the one from which the steps of this one were selected.
    /// </summary>
    public bool IsRespaced => _networkTimes is not null;

    /// <summary>[T] beta_t, the variance of q(x_t | x_{t-1}).</summary>
    public ReadOnlySpan<double> Betas => _betas;

    /// <summary>[T] abar_t = prod_{s &lt;= t} (1 - beta_s), the squared scale of the data in x_t.</summary>
    public ReadOnlySpan<double> AlphaBars => _alphaBars;

    /// <summary>[T] the variance of q(x_{t-1} | x_t, x_0), eq. 7; zero at t = 0.</summary>
    public ReadOnlySpan<double> PosteriorVariance => _posteriorVariance;

    /// <summary>
    /// [T] the logarithm of <see cref="PosteriorVariance"/>. At t = 0, where the variance is zero, it is the value at t = 1 (log
    /// beta_0 for a schedule of one step), so that it is finite.
    /// </summary>
    public ReadOnlySpan<double> PosteriorLogVariance => _posteriorLogVariance;

    /// <summary>[T] the coefficient of x_0 in the mean of q(x_{t-1} | x_t, x_0), eq. 7.</summary>
    public ReadOnlySpan<double> PosteriorMeanCoefficient1 => _posteriorMean1;

    /// <summary>[T] the coefficient of x_t in the mean of q(x_{t-1} | x_t, x_0), eq. 7.</summary>
    public ReadOnlySpan<double> PosteriorMeanCoefficient2 => _posteriorMean2;

    /// <summary>Returns alpha and sigma at <paramref name="t"/>. Between indices, the log-SNR is interpolated linearly.</summary>
    /// <param name="t">A time in [0, T-1], not necessarily an integer.</param>
    /// <exception cref="ArgumentOutOfRangeException">t is outside [0, T-1].</exception>
    /// <remarks>
    /// If the last step contains no signal, its log-SNR is infinite; between the last two indices, alpha is then interpolated
    /// linearly.
    /// </remarks>
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
            return NoiseLevel.FromLogSnr(_logSnrs[index] + (fraction * (_logSnrs[index + 1] - _logSnrs[index])));
        var alpha = (1.0 - fraction) * low.Alpha;
        return new NoiseLevel(alpha, Math.Sqrt(1.0 - (alpha * alpha)));
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The timestep is the index itself; for a schedule from <see cref="Respaced(string)"/>, it is the index in the original schedule.
    /// Between indices, it is interpolated linearly.
    /// </remarks>
    public double ModelTimestep(double t)
    {
        Guard.InRange(t, 0.0, MaxTime);
        if (_networkTimes is null)
            return t;
        var index = (int)t;
        return t == index ? _networkTimes[index] : _networkTimes[index] + ((t - index) * (_networkTimes[index + 1] - _networkTimes[index]));
    }

    /// <inheritdoc/>
    /// <remarks>Uses a binary search in the table and the inverse of the interpolation of <see cref="LevelAt"/>.</remarks>
    public double InvertLogSnr(double logSnr)
    {
        var (low, high) = (0, Steps - 1);
        if (!(logSnr < _logSnrs[low]))
            return low;
        if (!(logSnr > _logSnrs[high]))
            return high;
        while (high - low > 1)
        {
            var middle = (low + high) / 2;
            if (_logSnrs[middle] >= logSnr)
                low = middle;
            else
                high = middle;
        }

        return low + (_levels[high].Alpha > 0.0
            ? (_logSnrs[low] - logSnr) / (_logSnrs[low] - _logSnrs[high])
            : 1.0 - (NoiseLevel.FromLogSnr(logSnr).Alpha / _levels[low].Alpha));
    }

    /// <summary>
    /// Returns the noise level one step before index <paramref name="t"/>: that of t - 1, or <see cref="NoiseLevel.Clean"/> for index
    /// 0.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">t is outside [0, T-1].</exception>
    public NoiseLevel PreviousLevel(int t)
    {
        Guard.InRange(t, 0, Steps - 1);
        return t == 0 ? NoiseLevel.Clean : _levels[t - 1];
    }

    private static void Validate(double[] betas)
    {
        if (betas.Length == 0)
            throw new ArgumentException("A schedule needs at least one step, got no betas.", nameof(betas));
        for (var t = 0; t < betas.Length; t++)
        {
            if (!(betas[t] > 0.0 && betas[t] <= 1.0))
                throw new ArgumentException(Invariant($"Every beta must lie in (0, 1], got beta[{t}] = {betas[t]:R}."), nameof(betas));
            if (1.0 - betas[t] == 1.0)
                throw new ArgumentException(
                    Invariant($"A beta that changes nothing in double precision is too small, got beta[{t}] = {betas[t]:R}."),
                    nameof(betas));
            if (betas[t] == 1.0 && t + 1 < betas.Length)
                throw new ArgumentException(
                    Invariant($"Only the last beta may be 1, because it removes all signal, got beta[{t}] = 1 of {betas.Length}."),
                    nameof(betas));
        }
    }

    [LoggerMessage(
        EventId = 1,
        Level = LogLevel.Warning,
        Message = "The log-SNR after {Steps} steps is {LogSnr:F2}, above {Limit}, but sampling starts from pure noise.")]
    private static partial void LogTerminalSignal(ILogger logger, int steps, double logSnr, double limit);
}
