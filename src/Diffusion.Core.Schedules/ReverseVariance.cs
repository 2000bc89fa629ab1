namespace Diffusion.Core.Schedules;

/// <summary>The fixed variances of the literature, for steps between any two levels.</summary>
/// <remarks>Source: Ho, Jain and Abbeel 2020, section 3.2: the two extreme choices, for data that is one point and for unit Gaussian data.</remarks>
public static class ReverseVariance
{
    /// <summary>The variance of q(x_s | x_t, x_0): the posterior's beta tilde, eq. 7.</summary>
    public static IReverseVariance FixedSmall { get; } = new Fixed("fixed_small", GaussianTransition.PosteriorVariance);

    /// <summary>The variance of q(x_t | x_s): beta_t between neighbours.</summary>
    public static IReverseVariance FixedLarge { get; } = new Fixed("fixed_large", GaussianTransition.Variance);

    private sealed class Fixed(string name, Func<NoiseLevel, NoiseLevel, double> variance) : IReverseVariance
    {
        public string Name => name;

        public double Variance(NoiseLevel level, NoiseLevel earlier) => variance(level, earlier);
    }
}
