using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>The forward process of DDPM in single steps, and the posterior of one step, with one t for each sample.</summary>
/// <remarks>Source: Ho et al. 2020, section 2.</remarks>
public sealed class DdpmProcess : ForwardProcess
{
    private readonly ScheduledPair _step;
    private readonly ScheduledPair _posteriorMean;
    private readonly ScheduledValue _posteriorVariance;
    private readonly ScheduledValue _posteriorLogVariance;

    /// <summary>Creates the process of a discrete schedule.</summary>
    public DdpmProcess(DiscreteSchedule schedule)
        : base(schedule)
    {
        Discrete = schedule;
        _step = new ScheduledPair(schedule, GaussianTransition.Forward);
        _posteriorMean = new ScheduledPair(schedule, schedule.PosteriorMeanCoefficient1, schedule.PosteriorMeanCoefficient2);
        _posteriorVariance = new ScheduledValue(schedule, schedule.PosteriorVariance);
        _posteriorLogVariance = new ScheduledValue(schedule, schedule.PosteriorLogVariance);
    }

    /// <summary>The schedule, as a <see cref="DiscreteSchedule"/>.</summary>
    public DiscreteSchedule Discrete { get; }

    /// <summary>Returns a sample of q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I), eq. 2.</summary>
    /// <param name="previous">[B, ...] x_{t-1}; for samples with t = 0, x_0.</param>
    /// <param name="t">[B] int64 indices 0..T-1.</param>
    /// <param name="noise">The noise, drawn from N(0, I), with the shape and type of <paramref name="previous"/>.</param>
    /// <returns>x_t. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not match, or an index is outside 0..T-1.</exception>
    public Tensor SampleStep(Tensor previous, Tensor t, Tensor noise) => _step.Apply(t, previous, noise);

    /// <summary>Computes the mean of q(x_{t-1} | x_t, x_0), eq. 7.</summary>
    /// <param name="x0">[B, ...] the data, or a prediction of the data.</param>
    /// <param name="xt">x_t, with the shape and type of <paramref name="x0"/>.</param>
    /// <param name="t">[B] int64 indices 0..T-1. For index 0, the mean is x_0.</param>
    /// <returns>The mean, with the shape of <paramref name="x0"/>. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not match, or an index is outside 0..T-1.</exception>
    public Tensor PosteriorMean(Tensor x0, Tensor xt, Tensor t) => _posteriorMean.Apply(t, x0, xt);

    /// <summary>Returns the variance of q(x_{t-1} | x_t, x_0), eq. 7. It is zero for t = 0.</summary>
    /// <param name="t">[B] int64 indices 0..T-1.</param>
    /// <param name="like">[B, ...] a tensor that determines the device, the type and the number of dimensions of the result.</param>
    /// <returns>[B, 1, ...], which broadcasts against <paramref name="like"/>. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shapes do not match, or an index is outside 0..T-1.</exception>
    public Tensor PosteriorVariance(Tensor t, Tensor like) => _posteriorVariance.At(t, like);

    /// <summary>Returns the log variance of q(x_{t-1} | x_t, x_0). For t = 0, it is the value at t = 1, so that it is finite.</summary>
    /// <inheritdoc cref="PosteriorVariance"/>
    public Tensor PosteriorLogVariance(Tensor t, Tensor like) => _posteriorLogVariance.At(t, like);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _step.Dispose();
            _posteriorMean.Dispose();
            _posteriorVariance.Dispose();
            _posteriorLogVariance.Dispose();
        }

        base.Dispose(disposing);
    }
}

/// <summary>
/// The Gaussian transitions between two noise levels of a process: a forward step, and the posterior of that step. The <c>earlier</c>
/// level is the one closer to the data. For adjacent indices of a discrete schedule, the coefficients are those of DDPM; for other
/// pairs, they are those of a sampler that skips steps (Nichol and Dhariwal 2021, section 4). A step between equal levels does not
/// change a sample.
/// </summary>
public static class GaussianTransition
{
    // The relative rounding error of a difference of squares. A more negative variance means that the levels are in the wrong order.
    private const double Rounding = 1e-12;

    /// <summary>
    /// Returns the parameters of q(x_t | x_s) = N(scale x_s, scale_noise^2): the factor of x_s and the standard deviation of the
    /// noise.
    /// </summary>
    /// <exception cref="ArgumentException">The earlier level has more noise than the later one.</exception>
    public static LinearPair Forward(NoiseLevel level, NoiseLevel earlier)
        => new(Scale(level, earlier), Math.Sqrt(Variance(level, earlier)));

    /// <summary>Returns the variance of q(x_t | x_s). For adjacent indices of a DDPM schedule, it is beta_t.</summary>
    /// <exception cref="ArgumentException">The earlier level has more noise than the later one.</exception>
    public static double Variance(NoiseLevel level, NoiseLevel earlier)
    {
        var scale = Scale(level, earlier);
        var total = level.Sigma * level.Sigma;
        var variance = total - (scale * scale * earlier.Sigma * earlier.Sigma);
        if (!(variance >= -Rounding * total))
            throw new ArgumentException(Invariant($"The earlier level must have less noise than {level}, got {earlier}."), nameof(earlier));
        return Math.Max(variance, 0.0);
    }

    /// <summary>
    /// Returns the mean of q(x_s | x_t, x_0) as coefficients of (x_0, x_t) (Ho et al. 2020, eq. 7, for any s before t).
    /// </summary>
    /// <exception cref="ArgumentException">The earlier level has more noise than the later one.</exception>
    public static LinearPair PosteriorMean(NoiseLevel level, NoiseLevel earlier)
    {
        var variance = Variance(level, earlier);
        var scale = Scale(level, earlier);
        if (variance == 0.0)
            return new LinearPair(0.0, 1.0 / scale);
        var total = level.Sigma * level.Sigma;
        return new LinearPair(earlier.Alpha * variance / total, scale * earlier.Sigma * earlier.Sigma / total);
    }

    /// <summary>Returns the variance of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7). It is zero if s is the data.</summary>
    /// <exception cref="ArgumentException">The earlier level has more noise than the later one.</exception>
    public static double PosteriorVariance(NoiseLevel level, NoiseLevel earlier)
    {
        var variance = Variance(level, earlier);
        return variance == 0.0 ? 0.0 : earlier.Sigma * earlier.Sigma / (level.Sigma * level.Sigma) * variance;
    }

    private static double Scale(NoiseLevel level, NoiseLevel earlier) => level == earlier ? 1.0 : level.Alpha / earlier.Alpha;
}
