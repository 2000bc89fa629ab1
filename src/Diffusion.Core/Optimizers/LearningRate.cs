namespace Diffusion.Core;

/// <summary>The learning rate as a function of the optimizer step, and of nothing else.</summary>
public interface ILearningRateSchedule
{
    /// <summary>The rate of one step.</summary>
    /// <param name="step">The number of steps before it: 0 for the first.</param>
    /// <returns>Finite and not negative.</returns>
    double At(long step);
}

/// <summary>The usual learning rates: a linear warm-up, then constant or a cosine.</summary>
public static class LearningRate
{
    /// <summary>
    /// <paramref name="rate"/> times (step + 1) / <paramref name="warmupSteps"/> during the warm-up, then <paramref name="rate"/>.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The rate is not finite and positive, or the warm-up negative.</exception>
    public static ILearningRateSchedule Constant(double rate, long warmupSteps = 0)
    {
        Guard.Positive(rate);
        Guard.InRange(warmupSteps, 0, long.MaxValue);
        return new WarmUp(warmupSteps, rate, _ => rate);
    }

    /// <summary>
    /// A warm-up as in <see cref="Constant"/>, then half a cosine from <paramref name="rate"/> at step <paramref name="warmupSteps"/> to
    /// <paramref name="minimum"/> at step <paramref name="steps"/> and after (Loshchilov and Hutter 2017, eq. 5, without restarts).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// The rate is not finite and positive, the warm-up not in [0, steps), or the minimum not in [0, rate].
    /// </exception>
    public static ILearningRateSchedule Cosine(double rate, long steps, long warmupSteps = 0, double minimum = 0.0)
    {
        Guard.Positive(rate);
        Guard.InRange(steps, 1, long.MaxValue);
        Guard.InRange(warmupSteps, 0, steps - 1);
        Guard.InRange(minimum, 0.0, rate);
        return new WarmUp(warmupSteps, rate, step =>
        {
            var progress = Math.Min((double)(step - warmupSteps) / (steps - warmupSteps), 1.0);
            return minimum + ((rate - minimum) * 0.5 * (1.0 + Math.Cos(Math.PI * progress)));
        });
    }

    private sealed class WarmUp(long steps, double rate, Func<long, double> rest) : ILearningRateSchedule
    {
        public double At(long step)
        {
            Guard.InRange(step, 0, long.MaxValue);
            return step < steps ? rate * (step + 1) / steps : rest(step);
        }
    }
}
