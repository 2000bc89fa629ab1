namespace Diffusion.Core.Schedules;

/// <summary>
/// The Gaussian algebra between two noise levels of one process, the <c>earlier</c> one nearer to the data: one forward step, and the
/// posterior that undoes it. With neighbouring indices of a discrete schedule these are the DDPM coefficients; with distant ones,
/// those of a sampler that skips steps (Nichol and Dhariwal 2021, section 4: fewer steps are new betas, not new formulas).
/// A step between equal levels changes nothing.
/// </summary>
public static class GaussianTransition
{
    // What rounding leaves of a difference of squares; anything below is no rounding but a wrong order.
    private const double Rounding = 1e-12;

    /// <summary>q(x_t | x_s) = N(scale x_s, scale_noise^2): the pair (scale of x_s, standard deviation of the noise).</summary>
    /// <exception cref="ArgumentException">The earlier level has more noise than the later one.</exception>
    public static LinearPair Forward(NoiseLevel level, NoiseLevel earlier)
        => new(Scale(level, earlier), Math.Sqrt(Variance(level, earlier)));

    /// <summary>The variance of q(x_t | x_s); between neighbours of a DDPM schedule this is beta_t.</summary>
    /// <exception cref="ArgumentException">The earlier level has more noise than the later one.</exception>
    public static double Variance(NoiseLevel level, NoiseLevel earlier)
    {
        var scale = Scale(level, earlier);
        var total = level.Sigma * level.Sigma;
        var variance = total - (scale * scale * earlier.Sigma * earlier.Sigma);
        if (!(variance >= -Rounding * total))
            throw new ArgumentException($"The earlier level must have less noise than {level}, got {earlier}.", nameof(earlier));
        return Math.Max(variance, 0.0);
    }

    /// <summary>
    /// The mean of q(x_s | x_t, x_0) as coefficients of (x_0, x_t) (Ho et al. 2020, eq. 7, for any s before t).
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

    /// <summary>The variance of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7); zero when s is the data itself.</summary>
    /// <exception cref="ArgumentException">The earlier level has more noise than the later one.</exception>
    public static double PosteriorVariance(NoiseLevel level, NoiseLevel earlier)
    {
        var variance = Variance(level, earlier);
        return variance == 0.0 ? 0.0 : earlier.Sigma * earlier.Sigma / (level.Sigma * level.Sigma) * variance;
    }

    private static double Scale(NoiseLevel level, NoiseLevel earlier) => level == earlier ? 1.0 : level.Alpha / earlier.Alpha;
}
