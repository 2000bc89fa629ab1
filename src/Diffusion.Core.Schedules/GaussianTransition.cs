namespace Diffusion.Core.Schedules;

/// <summary>
/// The Gaussian algebra between two noise levels of one process, the <c>earlier</c> one nearer to the data: one forward step, and the
/// posterior that undoes it. With neighbouring indices of a discrete schedule these are the DDPM coefficients; with distant ones,
/// those of a sampler that skips steps (Nichol and Dhariwal 2021, section 4: fewer steps are new betas, not new formulas).
/// </summary>
public static class GaussianTransition
{
    /// <summary>q(x_t | x_s) = N(scale x_s, scale_noise^2): the pair (scale of x_s, standard deviation of the noise).</summary>
    public static LinearPair Forward(NoiseLevel level, NoiseLevel earlier)
        => new(level.Alpha / earlier.Alpha, Math.Sqrt(Variance(level, earlier)));

    /// <summary>The variance of q(x_t | x_s); between neighbours of a DDPM schedule this is beta_t.</summary>
    public static double Variance(NoiseLevel level, NoiseLevel earlier)
    {
        var ratio = level.Alpha / earlier.Alpha;
        return Math.Max((level.Sigma * level.Sigma) - (ratio * ratio * earlier.Sigma * earlier.Sigma), 0.0);
    }

    /// <summary>
    /// The mean of q(x_s | x_t, x_0) as coefficients of (x_0, x_t) (Ho et al. 2020, eq. 7, for any s before t).
    /// </summary>
    public static LinearPair PosteriorMean(NoiseLevel level, NoiseLevel earlier)
    {
        var total = level.Sigma * level.Sigma;
        return new LinearPair(
            earlier.Alpha * Variance(level, earlier) / total,
            level.Alpha / earlier.Alpha * earlier.Sigma * earlier.Sigma / total);
    }

    /// <summary>The variance of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7); zero when s is the data itself.</summary>
    public static double PosteriorVariance(NoiseLevel level, NoiseLevel earlier)
        => earlier.Sigma * earlier.Sigma / (level.Sigma * level.Sigma) * Variance(level, earlier);
}
