namespace Diffusion.Core.Schedules;

/// <summary>
/// The variance of p(x_{t-1} | x_t), which is either fixed by the schedule or learned by the network. In both cases its logarithm is
/// linear in the output v of the network, <c>log variance = First + Second * v</c>, so that a variance is defined by one pair of
/// coefficients for each step.
/// </summary>
public abstract class ReverseVariance
{
    /// <summary>The standard name of the variance, such as <c>fixed-small</c>.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// Whether the network predicts v. Its output then has twice the channels of x_t: the prediction in the first half and v in the
    /// second.
    /// </summary>
    public virtual bool IsLearned => false;

    /// <summary>
    /// Returns the log variance of a step as coefficients of (1, v). The second coefficient is zero unless the variance is learned.
    /// </summary>
    /// <returns>The coefficients. They are finite if <see cref="ReverseTransition.FinalVariance"/> is greater than zero.</returns>
    public abstract LinearPair LogVariance(ReverseTransition transition);

    /// <summary>
    /// Returns the variance of a step, for a variance that is not learned. It is the exponential of the log variance, unless the log
    /// variance was changed to be finite.
    /// </summary>
    public virtual double Variance(ReverseTransition transition) => Math.Exp(LogVariance(transition).First);

    /// <summary>
    /// The variance of the posterior q(x_{t-1} | x_t, x_0), which is optimal for data that is a single point. For the final step, the
    /// variance is zero, and its logarithm is that of <see cref="ReverseTransition.FinalVariance"/>.
    /// </summary>
    public static ReverseVariance FixedSmall { get; } = new FixedSmallVariance();

    /// <summary>
    /// beta_t, the variance of the forward step, which is optimal for data from N(0, I). For the final step, it is
    /// <see cref="ReverseTransition.FinalVariance"/>, as in OpenAI's fixed_large. That value is intended for 8-bit data; for smooth
    /// data, such as a Gaussian, it worsens the likelihood.
    /// </summary>
    public static ReverseVariance FixedLarge { get; } = new FixedLargeVariance();

    /// <summary>
    /// <see cref="FixedSmall"/> with a variance of at least 1e-20 in the logarithm, so that it is never zero: fixed_small_log of
    /// diffusers. It differs from <see cref="FixedSmall"/> in the final step only.
    /// </summary>
    public static ReverseVariance FixedSmallLog { get; } = new LogFormVariance(FixedSmall);

    /// <summary>
    /// <see cref="FixedLarge"/> with a variance of at least 1e-20 in the logarithm, so that it is never zero. This is the intention of
    /// fixed_large_log in diffusers, which uses the logarithm as the variance itself. It differs from <see cref="FixedLarge"/> in the
    /// final step only, if <see cref="ReverseTransition.FinalVariance"/> is zero.
    /// </summary>
    public static ReverseVariance FixedLargeLog { get; } = new LogFormVariance(FixedLarge);

    /// <summary>
    /// The log variance is the output v of the network, as in OpenAI's LEARNED. (With "learned" in diffusers, the output is the
    /// variance, which may be negative.)
    /// </summary>
    public static ReverseVariance Learned { get; } = new LearnedVariance();

    /// <summary>
    /// The log variance is interpolated linearly between those of the two fixed variances by the output v of the network: -1 for
    /// <see cref="FixedSmall"/> and 1 for <see cref="FixedLarge"/> (Nichol and Dhariwal 2021, eq. 15, with v from -1 to 1 as in their
    /// code).
    /// </summary>
    public static ReverseVariance LearnedRange { get; } = new LearnedRangeVariance();

    private sealed class FixedSmallVariance : ReverseVariance
    {
        public override string Name => "fixed-small";

        public override LinearPair LogVariance(ReverseTransition transition) => new(Math.Log(transition.ClippedPosteriorVariance), 0.0);

        public override double Variance(ReverseTransition transition) => transition.PosteriorVariance;
    }

    private sealed class FixedLargeVariance : ReverseVariance
    {
        public override string Name => "fixed-large";

        public override LinearPair LogVariance(ReverseTransition transition) => new(Math.Log(Variance(transition)), 0.0);

        public override double Variance(ReverseTransition transition)
            => transition.IsFinal ? transition.FinalVariance : transition.ForwardVariance;
    }

    private sealed class LogFormVariance(ReverseVariance inner) : ReverseVariance
    {
        private const double Least = 1e-20;

        public override string Name { get; } = inner.Name + "-log";

        public override LinearPair LogVariance(ReverseTransition transition) => new(Math.Log(Math.Max(inner.Variance(transition), Least)), 0.0);
    }

    private sealed class LearnedVariance : ReverseVariance
    {
        public override string Name => "learned";

        public override bool IsLearned => true;

        public override LinearPair LogVariance(ReverseTransition transition) => new(0.0, 1.0);
    }

    private sealed class LearnedRangeVariance : ReverseVariance
    {
        public override string Name => "learned-range";

        public override bool IsLearned => true;

        public override LinearPair LogVariance(ReverseTransition transition)
        {
            var (low, high) = (Math.Log(transition.ClippedPosteriorVariance), Math.Log(transition.ForwardVariance));
            return new LinearPair((high + low) / 2.0, (high - low) / 2.0);
        }
    }
}
