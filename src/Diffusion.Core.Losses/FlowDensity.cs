using MathNet.Numerics.Distributions;
using MathNet.Numerics.RootFinding;

namespace Diffusion.Core.Losses;

/// <summary>The densities over the flow time t in (0, 1) and their quantile functions.</summary>
/// <remarks>Source: Esser et al. 2024, section 3.1.</remarks>
internal static class FlowDensity
{
    /// <summary>The density of CosMap.</summary>
    public static double CosMap(double t) => 2.0 / (Math.PI * (1.0 - (2.0 * t) + (2.0 * t * t)));

    /// <summary>The quantile function of CosMap, <c>1 - 1 / (tan(pi u / 2) + 1)</c>.</summary>
    public static double CosMapQuantile(double u)
    {
        var (sin, cos) = Math.SinCos(0.5 * Math.PI * u);
        return sin / (sin + cos);
    }

    /// <summary>The density of a t whose logit is normal.</summary>
    public static double LogitNormal(double t, double mean, double std)
        => Normal.PDF(mean, std, Math.Log(t) - Math.Log(1.0 - t)) / (t * (1.0 - t));

    /// <summary>The quantile function of the logit-normal distribution.</summary>
    public static double LogitNormalQuantile(double u, double mean, double std)
        => 1.0 / (1.0 + Math.Exp(-Normal.InvCDF(mean, std, u)));

    /// <summary>The density of mode sampling: the inverse of the slope of its quantile function.</summary>
    public static double Mode(double t, double scale)
    {
        var u = Brent.FindRoot(x => ModeQuantile(x, scale) - t, 0.0, 1.0, 1e-15, 200);
        return 1.0 / (1.0 + scale - (0.5 * Math.PI * scale * Math.Sin(Math.PI * u)));
    }

    /// <summary>
    /// The quantile function of mode sampling. Esser et al. write it falling, <c>f(u) = 1 - u - s (cos^2(pi u / 2) - 1 + u)</c>; this is
    /// f(1 - u), of the same distribution.
    /// </summary>
    public static double ModeQuantile(double u, double scale)
    {
        var sine = Math.Sin(0.5 * Math.PI * u);
        return u - (scale * ((sine * sine) - u));
    }
}
