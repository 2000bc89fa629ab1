namespace Diffusion.Core.Schedules;

/// <summary>
/// The variance of p(x_{t-1} | x_t): a number that the schedule fixes, or one that the network learns. Either way its logarithm is
/// linear in the output v of the network, <c>log variance = First + Second * v</c>, so that a strategy is one pair of numbers for each
/// step.
/// </summary>
public abstract class ReverseVariance
{
    /// <summary>The field's name of the strategy, such as <c>fixed-small</c>.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// True where the network has v: its output then has twice the channels of x_t, the prediction in the first half and v in the second.
    /// </summary>
    public virtual bool IsLearned => false;

    /// <summary>The log variance of a step as coefficients of (1, v); the second is zero unless the variance is learned.</summary>
    /// <returns>Finite numbers, where <see cref="ReverseTransition.FinalVariance"/> is not zero.</returns>
    public abstract LinearPair LogVariance(ReverseTransition transition);

    /// <summary>
    /// The variance of a step that is not learned. It differs from the exponential of the log variance only where that has to be kept
    /// finite.
    /// </summary>
    public virtual double Variance(ReverseTransition transition) => Math.Exp(LogVariance(transition).First);

    /// <summary>
    /// The variance of the posterior q(x_{t-1} | x_t, x_0): right for data at one point. Zero for the final step, whose logarithm is
    /// that of <see cref="ReverseTransition.FinalVariance"/>.
    /// </summary>
    public static ReverseVariance FixedSmall { get; } = new FixedSmallVariance();

    /// <summary>
    /// beta_t, the variance of the forward step: right for data from N(0, I). For the final step
    /// <see cref="ReverseTransition.FinalVariance"/>, as OpenAI's fixed_large has it: meant for bytes, and not for data that is as smooth as
    /// a Gaussian, whose likelihood it worsens.
    /// </summary>
    public static ReverseVariance FixedLarge { get; } = new FixedLargeVariance();

    /// <summary>
    /// <see cref="FixedSmall"/> by way of its logarithm, at least that of 1e-20, so that it is never zero: diffusers' fixed_small_log.
    /// The two differ in the final step alone.
    /// </summary>
    public static ReverseVariance FixedSmallLog { get; } = new LogFormVariance(FixedSmall);

    /// <summary>
    /// <see cref="FixedLarge"/> by way of its logarithm, at least that of 1e-20, so that it is never zero: what diffusers means by
    /// fixed_large_log, whose logarithm it took for the variance itself. The two differ in the final step alone.
    /// </summary>
    public static ReverseVariance FixedLargeLog { get; } = new LogFormVariance(FixedLarge);

    /// <summary>
    /// The output of the network is the log variance, as in OpenAI's LEARNED. (In diffusers' learned, the output is the variance, which
    /// then
    /// may be negative.)
    /// </summary>
    public static ReverseVariance Learned { get; } = new LearnedVariance();

    /// <summary>
    /// The output of the network is a position between the logarithms of the two fixed variances, -1 at the small one and 1 at the large
    /// (Nichol
    /// and Dhariwal 2021, eq. 15, with v from -1 to 1 as in their code).
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
