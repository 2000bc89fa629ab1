using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>Divergences and likelihoods of diagonal Gaussians, element by element, in nats.</summary>
public static class GaussianMath
{
    private static readonly double LogTwoPi = Math.Log(2.0 * Math.PI);

    /// <summary>KL(N(mean1, exp(logVariance1)) || N(mean2, exp(logVariance2))).</summary>
    /// <param name="mean1">[...]; all four broadcast against each other.</param>
    /// <param name="logVariance1">The log variance of the first.</param>
    /// <param name="mean2">The mean of the second.</param>
    /// <param name="logVariance2">The log variance of the second.</param>
    /// <returns>The shape they broadcast to, with gradients. The caller must dispose the returned tensor.</returns>
    public static Tensor Kl(Tensor mean1, Tensor logVariance1, Tensor mean2, Tensor logVariance2)
    {
        ArgumentNullException.ThrowIfNull(mean1);
        ArgumentNullException.ThrowIfNull(logVariance1);
        ArgumentNullException.ThrowIfNull(mean2);
        ArgumentNullException.ThrowIfNull(logVariance2);
        using var scope = NewDisposeScope();
        var ratio = logVariance1.sub(logVariance2);
        var spread = ratio.exp().sub(ratio).Sub(1.0);
        var shift = mean1.sub(mean2).Square().mul(logVariance2.neg().exp());
        return spread.Add(shift).Mul(0.5).MoveToOuterDisposeScope();
    }

    /// <summary>KL(N(mean, exp(logVariance)) || N(0, 1)) (Kingma and Welling 2014, appendix B).</summary>
    /// <param name="mean">[...]; the two broadcast against each other.</param>
    /// <param name="logVariance">The log variance.</param>
    /// <returns>The shape they broadcast to, with gradients. The caller must dispose the returned tensor.</returns>
    public static Tensor KlToStandard(Tensor mean, Tensor logVariance)
    {
        ArgumentNullException.ThrowIfNull(mean);
        ArgumentNullException.ThrowIfNull(logVariance);
        using var scope = NewDisposeScope();
        return logVariance.exp().sub(logVariance).Sub(1.0).Add(mean.Square()).Mul(0.5).MoveToOuterDisposeScope();
    }

    /// <summary>log N(x; mean, exp(logVariance)), a density.</summary>
    /// <param name="x">[...]; all three broadcast against each other.</param>
    /// <param name="mean">The mean.</param>
    /// <param name="logVariance">The log variance.</param>
    /// <returns>The shape they broadcast to, with gradients. The caller must dispose the returned tensor.</returns>
    public static Tensor LogDensity(Tensor x, Tensor mean, Tensor logVariance)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(mean);
        ArgumentNullException.ThrowIfNull(logVariance);
        using var scope = NewDisposeScope();
        var distance = x.sub(mean).Square().mul(logVariance.neg().exp());
        return distance.Add(logVariance).Add(LogTwoPi).Mul(-0.5).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The log of the share of N(mean, exp(logVariance)) that falls into the bin of x, for data on an even grid over [-1, 1]; the outer
    /// bins reach to infinity. Shares below 1e-12 are taken as that.
    /// </summary>
    /// <param name="x">[...] data in [-1, 1]; all three broadcast against each other.</param>
    /// <param name="mean">The mean.</param>
    /// <param name="logVariance">The log variance.</param>
    /// <param name="levels">The number of points of the grid, at least 2: 256 for bytes.</param>
    /// <returns>The shape they broadcast to, with gradients. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than two levels.</exception>
    /// <remarks>
    /// Source: Ho et al. 2020, eq. 13, with the cumulative distribution <c>(1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2</c> of their
    /// code, which is off by up to 2e-4.
    /// </remarks>
    public static Tensor DiscretisedLogLikelihood(Tensor x, Tensor mean, Tensor logVariance, int levels = 256)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(mean);
        ArgumentNullException.ThrowIfNull(logVariance);
        Guard.InRange(levels, 2, int.MaxValue);
        const double Least = 1e-12;
        using var scope = NewDisposeScope();
        var half = 1.0 / (levels - 1.0);
        var centred = x.sub(mean);
        var inverse = logVariance.Mul(-0.5).exp();
        var below = Cumulative(centred.Sub(half).mul(inverse));
        var upTo = Cumulative(centred.Add(half).mul(inverse));

        // The ends are recognised with a margin, as data in single precision is.
        var share = where(x.Gt(1.0 - (0.255 * half)), below.neg().Add(1.0), upTo.sub(below));
        share = where(x.Lt((0.255 * half) - 1.0), upTo, share);
        return share.ClampMin(Least).log().MoveToOuterDisposeScope();
    }

    private static Tensor Cumulative(Tensor z)
    {
        var cubic = z.mul(z).Mul(0.044715).Add(1.0).mul(z);
        return cubic.Mul(Math.Sqrt(2.0 / Math.PI)).tanh().Add(1.0).Mul(0.5);
    }
}
