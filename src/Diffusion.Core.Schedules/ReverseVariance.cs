namespace Diffusion.Core.Schedules;

/// <summary>The fixed variances of the literature, the two ends of the range of sensible choices (Ho et al. 2020, section 3.2).</summary>
public static class ReverseVariance
{
    /// <summary>
    /// The variance of the posterior q(x_{t-1} | x_t, x_0): right for data at one point. Zero for the final step, whose logarithm is
    /// that of <see cref="ReverseTransition.FinalVariance"/>.
    /// </summary>
    public static IReverseVariance FixedSmall { get; } = new FixedSmallVariance();

    /// <summary>
    /// beta_t, the variance of the forward step: right for data from N(0, I). For the final step
    /// <see cref="ReverseTransition.FinalVariance"/>, which gives a better likelihood than beta_0 (OpenAI's fixed_large).
    /// </summary>
    public static IReverseVariance FixedLarge { get; } = new FixedLargeVariance();

    private sealed class FixedSmallVariance : IReverseVariance
    {
        public string Name => "fixed-small";

        public LinearPair LogVariance(ReverseTransition transition) => new(Math.Log(transition.ClippedPosteriorVariance), 0.0);

        public double Variance(ReverseTransition transition) => transition.PosteriorVariance;
    }

    private sealed class FixedLargeVariance : IReverseVariance
    {
        public string Name => "fixed-large";

        public LinearPair LogVariance(ReverseTransition transition) => new(Math.Log(Variance(transition)), 0.0);

        public double Variance(ReverseTransition transition)
            => transition.IsFinal ? transition.FinalVariance : transition.ForwardVariance;
    }
}
