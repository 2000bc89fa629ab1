namespace Diffusion.Core.Schedules;

/// <summary>One step of the reverse process, from x_t to the x_s before it, as a <see cref="IReverseVariance"/> sees it.</summary>
/// <param name="Level">alpha and sigma at t.</param>
/// <param name="Earlier">alpha and sigma at s, one step nearer to the data.</param>
/// <param name="FinalVariance">
/// What stands for the variance of the step that ends at the data, where the posterior's is zero and has no logarithm. OpenAI's code
/// takes the posterior variance of the step before (Nichol and Dhariwal 2021); a sampler, which adds no noise there, leaves it at zero.
/// </param>
public readonly record struct ReverseTransition(NoiseLevel Level, NoiseLevel Earlier, double FinalVariance = 0.0)
{
    /// <summary>True for the step that ends at the data.</summary>
    public bool IsFinal => Earlier.Sigma == 0.0;

    /// <summary>The variance of q(x_t | x_s): beta_t between neighbours of a DDPM schedule.</summary>
    public double ForwardVariance => GaussianTransition.Variance(Level, Earlier);

    /// <summary>The variance of q(x_s | x_t, x_0), Ho et al. 2020, eq. 7: zero for the final step.</summary>
    public double PosteriorVariance => GaussianTransition.PosteriorVariance(Level, Earlier);

    /// <summary>The variance of q(x_s | x_t, x_0), or <see cref="FinalVariance"/> for the final step.</summary>
    public double ClippedPosteriorVariance => IsFinal ? FinalVariance : PosteriorVariance;

    /// <summary>The step down from index <paramref name="t"/> of a discrete schedule.</summary>
    /// <exception cref="ArgumentOutOfRangeException">t lies outside [0, T-1].</exception>
    public static ReverseTransition Of(DiscreteSchedule schedule, int t)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        var final = schedule.Steps > 1 ? schedule.PosteriorVariance[1] : schedule.Betas[0];
        return new ReverseTransition(schedule.LevelAt(t), schedule.PreviousLevel(t), final);
    }
}
