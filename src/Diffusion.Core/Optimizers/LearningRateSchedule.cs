namespace Diffusion.Core;

/// <summary>Returns the learning rate of an optimizer step. It must depend on the step only.</summary>
/// <param name="step">The number of steps before it: 0 for the first.</param>
/// <returns>The rate, finite and not negative.</returns>
public delegate double LearningRateSchedule(long step);

/// <summary>Standard learning rate schedules: a linear warm-up, followed by a constant rate or a cosine.</summary>
public static class LearningRateSchedules
{
    /// <summary>
    /// Returns a schedule with the rate <paramref name="rate"/> times (step + 1) / <paramref name="warmupSteps"/> during the warm-up, and
    /// <paramref name="rate"/> afterwards.
    /// </summary>
    /// <param name="rate">The rate after the warm-up.</param>
    /// <param name="warmupSteps">The number of steps of the warm-up. The default is 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rate is not finite and positive, or the warm-up is negative.</exception>
    public static LearningRateSchedule Constant(double rate, long warmupSteps = 0)
    {
        Guard.PositiveFactor(rate);
        Guard.InRange(warmupSteps, 0, long.MaxValue);
        return WarmUp(warmupSteps, rate, _ => rate);
    }

    /// <summary>
    /// Returns a schedule with a warm-up as in <see cref="Constant"/>, followed by half a cosine from <paramref name="rate"/> at step
    /// <paramref name="warmupSteps"/> to <paramref name="minimum"/> at step <paramref name="steps"/>, which is also the rate of later steps
    /// (Loshchilov and Hutter 2017, eq. 5, without restarts).
    /// </summary>
    /// <param name="rate">The rate after the warm-up.</param>
    /// <param name="steps">The step at which the minimum is reached.</param>
    /// <param name="warmupSteps">The number of steps of the warm-up. The default is 0.</param>
    /// <param name="minimum">The last rate. The default is 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// The rate is not finite and positive, the warm-up is not in [0, steps), or the minimum is not in [0, rate].
    /// </exception>
    public static LearningRateSchedule Cosine(double rate, long steps, long warmupSteps = 0, double minimum = 0.0)
    {
        Guard.PositiveFactor(rate);
        Guard.InRange(steps, 1, long.MaxValue);
        Guard.InRange(warmupSteps, 0, steps - 1);
        Guard.InRange(minimum, 0.0, rate);
        return WarmUp(warmupSteps, rate, step =>
        {
            var progress = Math.Min((double)(step - warmupSteps) / (steps - warmupSteps), 1.0);
            return minimum + ((rate - minimum) * 0.5 * (1.0 + Math.Cos(Math.PI * progress)));
        });
    }

    private static LearningRateSchedule WarmUp(long steps, double rate, Func<long, double> rest) => step =>
    {
        Guard.InRange(step, 0, long.MaxValue);
        return step < steps ? rate * (step + 1) / steps : rest(step);
    };
}
