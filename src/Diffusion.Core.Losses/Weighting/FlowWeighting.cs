using MathNet.Numerics.Distributions;
using MathNet.Numerics.RootFinding;

namespace Diffusion.Core.Losses;

/// <summary>
/// The weightings of flow matching, as functions of its time t = sigma / (alpha + sigma), which is 0 at the data and 1 at pure noise.
/// Each weighting specifies the weight of the squared error of the velocity eps - x_0 on the straight path, which is w t^2, where w is
/// the weight of the squared error in x_0. They can therefore be used with any prediction.
/// </summary>
/// <remarks>
/// Source: Esser et al. 2024, "Scaling Rectified Flow Transformers", section 3.1. Weighting the loss with a density has the same
/// expected value as drawing the times from that density; use only one of the two. <see cref="TimeDistribution"/> provides the
/// distributions for drawing times.
/// </remarks>
public static class FlowWeighting
{
    /// <summary>The weight 1 for the velocity, w = 1 / t^2: <c>sigma_sqrt</c> of the training scripts of diffusers.</summary>
    public static LossWeighting SigmaSqrt { get; } = OfVelocity("sigma-sqrt", _ => 1.0);

    /// <summary>The density of CosMap, 2 / (pi (1 - 2 t + 2 t^2)), which is that of a cosine schedule.</summary>
    public static LossWeighting CosMap { get; } = OfVelocity("cosmap", FlowDensity.CosMap);

    /// <summary>Creates the weighting by the density of a t whose logit is from N(mean, std^2).</summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// <paramref name="mean"/> is outside [-20, 20], or <paramref name="std"/> is not finite and greater than 0.
    /// </exception>
    public static LossWeighting LogitNormal(double mean = 0.0, double std = 1.0)
    {
        Guard.InRange(mean, -20.0, 20.0);
        Guard.Positive(std);
        return OfVelocity("logit-normal", t => FlowDensity.LogitNormal(t, mean, std));
    }

    /// <summary>Creates the weighting by the density of the mode sampling of Esser et al., eq. 20.</summary>
    /// <param name="scale">
    /// The scale, in [-1, 1.75]. Values greater than 0 increase the weight of times in the middle, and values less than 0 that of
    /// times near the ends. The density has a pole at 2 / (pi - 2). The default is 1.29.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The scale is outside its range.</exception>
    public static LossWeighting Mode(double scale = 1.29)
    {
        Guard.InRange(scale, -1.0, 1.75);
        return OfVelocity("mode", t => FlowDensity.Mode(t, scale));
    }

    /// <summary>Creates a weighting from the weight of the squared error of the velocity on the straight path.</summary>
    /// <param name="name">The standard name of the weighting.</param>
    /// <param name="weight">The weight, a pure function of t in (0, 1).</param>
    public static LossWeighting OfVelocity(string name, Func<double, double> weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return LossWeighting.OfData(name, level =>
        {
            var t = level.Sigma / (level.Alpha + level.Sigma);
            return weight(t) / (t * t);
        });
    }
}

/// <summary>Densities over the flow time t in (0, 1), and their quantile functions.</summary>
/// <remarks>Source: Esser et al. 2024, section 3.1.</remarks>
internal static class FlowDensity
{
    /// <summary>Returns the density of CosMap.</summary>
    public static double CosMap(double t) => 2.0 / (Math.PI * (1.0 - (2.0 * t) + (2.0 * t * t)));

    /// <summary>Returns the quantile function of CosMap, <c>1 - 1 / (tan(pi u / 2) + 1)</c>.</summary>
    public static double CosMapQuantile(double u)
    {
        var (sin, cos) = Math.SinCos(0.5 * Math.PI * u);
        return sin / (sin + cos);
    }

    /// <summary>Returns the density of a t whose logit is normally distributed.</summary>
    public static double LogitNormal(double t, double mean, double std)
        => Normal.PDF(mean, std, Math.Log(t) - Math.Log(1.0 - t)) / (t * (1.0 - t));

    /// <summary>Returns the quantile function of the logit-normal distribution.</summary>
    public static double LogitNormalQuantile(double u, double mean, double std)
        => 1.0 / (1.0 + Math.Exp(-Normal.InvCDF(mean, std, u)));

    /// <summary>Returns the density of mode sampling, the reciprocal of the derivative of its quantile function.</summary>
    public static double Mode(double t, double scale)
    {
        var u = Brent.FindRoot(x => ModeQuantile(x, scale) - t, 0.0, 1.0, 1e-15, 200);
        return 1.0 / (1.0 + scale - (0.5 * Math.PI * scale * Math.Sin(Math.PI * u)));
    }

    /// <summary>
    /// Returns the quantile function of mode sampling. Esser et al. use the decreasing function <c>f(u) = 1 - u - s (cos^2(pi u / 2) -
    /// 1 + u)</c>; this is f(1 - u), which defines the same distribution.
    /// </summary>
    public static double ModeQuantile(double u, double scale)
    {
        var sine = Math.Sin(0.5 * Math.PI * u);
        return u - (scale * ((sine * sine) - u));
    }
}
