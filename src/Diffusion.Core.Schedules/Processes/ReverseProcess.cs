using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// The reverse process of DDPM: p(x_{t-1} | x_t) from the output of a network at x_t, with one t for each sample of a batch. The
/// process owns its tables.
/// </summary>
/// <remarks>Source: Ho et al. 2020, section 3.2; Nichol and Dhariwal 2021, section 3.1.</remarks>
public sealed class ReverseProcess : IDisposable
{
    private readonly ScheduledPair _data;
    private readonly ScheduledPair _posteriorMean;
    private readonly ScheduledValue _variance;
    private readonly ScheduledValue _logVariance;
    private readonly ScheduledValue _logVarianceSlope;

    /// <summary>Creates the reverse process of a network.</summary>
    /// <param name="schedule">The schedule that the network was trained with.</param>
    /// <param name="prediction">The prediction type of the network. The default is <see cref="Prediction.Epsilon"/>.</param>
    /// <param name="variance">The variance of a step. The default is <see cref="ReverseVariance.FixedSmall"/>.</param>
    /// <exception cref="ArgumentException">
    /// The prediction does not determine x_0 at some t (such as eps at a level without signal), or the variance or its logarithm is
    /// not finite at some t.
    /// </exception>
    public ReverseProcess(DiscreteSchedule schedule, Prediction? prediction = null, ReverseVariance? variance = null)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        Schedule = schedule;
        Prediction = prediction ?? Prediction.Epsilon;
        Variance = variance ?? ReverseVariance.FixedSmall;

        var (variances, logs, slopes) = (new double[schedule.Steps], new double[schedule.Steps], new double[schedule.Steps]);
        for (var t = 0; t < schedule.Steps; t++)
        {
            var transition = ReverseTransition.Of(schedule, t);
            RequireData(Prediction, transition, t);
            (logs[t], slopes[t]) = Variance.LogVariance(transition);
            variances[t] = Variance.IsLearned ? 0.0 : Variance.Variance(transition);
            if (!double.IsFinite(logs[t]) || !double.IsFinite(slopes[t]) || !double.IsFinite(variances[t]))
                throw new ArgumentException(
                    Invariant($"The variance '{Variance.Name}' must be finite and have a finite logarithm, got {variances[t]} and ") +
                    Invariant($"{logs[t]} + {slopes[t]} v at t = {t}."),
                    nameof(variance));
        }

        _data = new ScheduledPair(schedule, Prediction.ToX0);
        _posteriorMean = new ScheduledPair(schedule, schedule.PosteriorMeanCoefficient1, schedule.PosteriorMeanCoefficient2);
        _variance = new ScheduledValue(schedule, variances);
        _logVariance = new ScheduledValue(schedule, logs);
        _logVarianceSlope = new ScheduledValue(schedule, slopes);
    }

    /// <summary>The schedule.</summary>
    public DiscreteSchedule Schedule { get; }

    /// <summary>The prediction type of the network.</summary>
    public Prediction Prediction { get; }

    /// <summary>The variance of a step.</summary>
    public ReverseVariance Variance { get; }

    /// <summary>
    /// Whether the predicted x_0 is clipped to [-1, 1] before the mean is computed from it. The default is <see langword="true"/>. If
    /// the network predicts the mean itself, only the returned x_0 is clipped.
    /// </summary>
    public bool Clip { get; init; } = true;

    /// <summary>Computes p(x_{t-1} | x_t), with gradients to <paramref name="output"/> and <paramref name="xt"/>.</summary>
    /// <param name="xt">[B, ...] x_t. With a learned variance, it must have channels: [B, C, ...].</param>
    /// <param name="t">[B] int64 indices 0..T-1. For index 0, the result is the distribution of x_0.</param>
    /// <param name="output">
    /// The output of the network at (<paramref name="xt"/>, <paramref name="t"/>), with the type of <paramref name="xt"/>. It has the
    /// same shape or, with a learned variance, [B, 2C, ...].
    /// </param>
    /// <returns>The mean, the variance, the log variance and the predicted x_0. The caller must dispose the returned object.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not match, or an index is outside 0..T-1.</exception>
    public ReverseDistribution Transition(Tensor xt, Tensor t, Tensor output)
    {
        RequireOutput(xt, output);
        using var scope = NewDisposeScope();
        var channels = Variance.IsLearned ? xt.shape[1] : 0L;
        var prediction = Variance.IsLearned ? output.narrow(1, 0, channels) : output;
        var data = _data.Apply(t, xt, prediction);
        if (Clip)
            data = data.Clamp(-1.0, 1.0);
        var mean = Prediction.IsPosteriorMean ? prediction.clone() : _posteriorMean.Apply(t, data, xt);

        var logVariance = _logVariance.At(t, xt);
        if (Variance.IsLearned)
            logVariance = logVariance.Add(_logVarianceSlope.At(t, xt).mul(output.narrow(1, channels, channels)));
        var variance = Variance.IsLearned ? logVariance.exp() : _variance.At(t, xt);
        return new ReverseDistribution(
            mean.MoveToOuterDisposeScope(),
            variance.MoveToOuterDisposeScope(),
            logVariance.MoveToOuterDisposeScope(),
            data.MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _data.Dispose();
        _posteriorMean.Dispose();
        _variance.Dispose();
        _logVariance.Dispose();
        _logVarianceSlope.Dispose();
    }

    private static void RequireData(Prediction prediction, ReverseTransition transition, int t)
    {
        var (first, second) = prediction.ToX0(transition.Level, transition.Earlier);
        if (!double.IsFinite(first) || !double.IsFinite(second))
            throw new ArgumentException(
                Invariant($"A network that predicts '{prediction.Name}' does not determine x_0 at t = {t}, where alpha is ")
                + Invariant($"{transition.Level.Alpha} ") +
                Invariant($"and sigma is {transition.Level.Sigma}; choose another prediction, such as 'velocity', or a schedule ")
                + "that leaves signal.",
                nameof(prediction));
    }

    private void RequireOutput(Tensor xt, Tensor output)
    {
        ArgumentNullException.ThrowIfNull(xt);
        var expected = xt.shape;
        if (Variance.IsLearned)
        {
            if (expected.Length < 2)
                throw new ArgumentException(
                    $"xt must have channels, [B, C, ...], for a learned variance, got {Guard.Format(expected)}.", nameof(xt));
            expected[1] *= 2;
        }

        Guard.Shape(output, expected);
        Guard.SameType(xt, output);
    }
}

/// <summary>
/// p(x_{t-1} | x_t), a Gaussian for each sample of a batch, and the x_0 from which it was computed. The object owns its tensors.
/// </summary>
/// <param name="mean">The mean. Ownership of the tensor passes to this object.</param>
/// <param name="variance">The variance. Ownership of the tensor passes to this object.</param>
/// <param name="logVariance">The log variance. Ownership of the tensor passes to this object.</param>
/// <param name="data">The predicted x_0. Ownership of the tensor passes to this object.</param>
public sealed class ReverseDistribution(Tensor mean, Tensor variance, Tensor logVariance, Tensor data) : IDisposable
{
    /// <summary>[B, ...] the mean.</summary>
    public Tensor Mean { get; } = mean;

    /// <summary>The variance: [B, 1, ...] if it is fixed, which broadcasts against the mean, or [B, ...] if it is learned.</summary>
    public Tensor Variance { get; } = variance;

    /// <summary>The log variance, with the shape of <see cref="Variance"/>. A fixed log variance is always finite.</summary>
    public Tensor LogVariance { get; } = logVariance;

    /// <summary>[B, ...] the predicted x_0, clipped if <see cref="ReverseProcess.Clip"/> is <see langword="true"/>.</summary>
    public Tensor Data { get; } = data;

    /// <inheritdoc/>
    public void Dispose()
    {
        Mean.Dispose();
        Variance.Dispose();
        LogVariance.Dispose();
        Data.Dispose();
    }
}

/// <summary>
/// One step of the reverse process, from x_t to the preceding x_s: the argument of the methods of <see cref="ReverseVariance"/>.
/// </summary>
/// <param name="Level">alpha and sigma at t.</param>
/// <param name="Earlier">alpha and sigma at s, one step closer to the data.</param>
/// <param name="FinalVariance">
/// The value that replaces the variance of the final step, which ends at the data, where a logarithm is needed: the posterior variance
/// of that step is zero. OpenAI's code uses the posterior variance at t = 1 (Nichol and Dhariwal 2021). A sampler adds no noise in
/// this step and leaves the value at zero. The default is 0.
/// </param>
public readonly record struct ReverseTransition(NoiseLevel Level, NoiseLevel Earlier, double FinalVariance = 0.0)
{
    /// <summary>Whether the step ends at the data.</summary>
    public bool IsFinal => Earlier.Sigma == 0.0;

    /// <summary>The variance of q(x_t | x_s). For adjacent indices of a DDPM schedule, it is beta_t.</summary>
    public double ForwardVariance => GaussianTransition.Variance(Level, Earlier);

    /// <summary>The variance of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7). It is zero for the final step.</summary>
    public double PosteriorVariance => GaussianTransition.PosteriorVariance(Level, Earlier);

    /// <summary>The variance of q(x_s | x_t, x_0), or <see cref="FinalVariance"/> for the final step.</summary>
    public double ClippedPosteriorVariance => IsFinal ? FinalVariance : PosteriorVariance;

    /// <summary>Returns the step from index <paramref name="t"/> of a discrete schedule to the previous level.</summary>
    /// <exception cref="ArgumentOutOfRangeException">t is outside [0, T-1].</exception>
    public static ReverseTransition Of(DiscreteSchedule schedule, int t)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        var final = schedule.Steps > 1 ? schedule.PosteriorVariance[1] : schedule.Betas[0];
        return new ReverseTransition(schedule.LevelAt(t), schedule.PreviousLevel(t), final);
    }
}
