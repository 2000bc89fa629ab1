using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>Elementwise divergences and likelihoods of diagonal Gaussians, in nats.</summary>
public static class GaussianMath
{
    private static readonly double LogTwoPi = Math.Log(2.0 * Math.PI);

    /// <summary>Computes KL(N(mean1, exp(logVariance1)) || N(mean2, exp(logVariance2))).</summary>
    /// <param name="mean1">[...] the mean of the first Gaussian. The four tensors broadcast against each other.</param>
    /// <param name="logVariance1">The log variance of the first Gaussian.</param>
    /// <param name="mean2">The mean of the second Gaussian.</param>
    /// <param name="logVariance2">The log variance of the second Gaussian.</param>
    /// <returns>
    /// The result, with the broadcast shape of the arguments and with gradients. The caller must dispose the returned tensor.
    /// </returns>
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

    /// <summary>Computes KL(N(mean, exp(logVariance)) || N(0, 1)) (Kingma and Welling 2014, appendix B).</summary>
    /// <param name="mean">[...] the mean. The two tensors broadcast against each other.</param>
    /// <param name="logVariance">The log variance.</param>
    /// <returns>
    /// The result, with the broadcast shape of the arguments and with gradients. The caller must dispose the returned tensor.
    /// </returns>
    public static Tensor KlToStandard(Tensor mean, Tensor logVariance)
    {
        ArgumentNullException.ThrowIfNull(mean);
        ArgumentNullException.ThrowIfNull(logVariance);
        using var scope = NewDisposeScope();
        return logVariance.exp().sub(logVariance).Sub(1.0).Add(mean.Square()).Mul(0.5).MoveToOuterDisposeScope();
    }

    /// <summary>Computes the log density, log N(x; mean, exp(logVariance)).</summary>
    /// <param name="x">[...] the data. The three tensors broadcast against each other.</param>
    /// <param name="mean">The mean.</param>
    /// <param name="logVariance">The log variance.</param>
    /// <returns>
    /// The result, with the broadcast shape of the arguments and with gradients. The caller must dispose the returned tensor.
    /// </returns>
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
    /// Computes the log-probability of the bin of x under N(mean, exp(logVariance)), for data on a grid of equally spaced values in
    /// [-1, 1]. The outer bins extend to infinity. Probabilities less than 1e-12 are replaced by 1e-12.
    /// </summary>
    /// <param name="x">[...] the data, in [-1, 1]. The three tensors broadcast against each other.</param>
    /// <param name="mean">The mean.</param>
    /// <param name="logVariance">The log variance.</param>
    /// <param name="levels">The number of values of the grid, at least 2. The default is 256, for 8-bit data.</param>
    /// <returns>
    /// The result, with the broadcast shape of the arguments and with gradients. The caller must dispose the returned tensor.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than two levels.</exception>
    /// <remarks>
    /// Source: Ho et al. 2020, eq. 13, with the cumulative distribution function of their code, <c>(1 + tanh(sqrt(2 / pi) (z +
    /// 0.044715 z^3))) / 2</c>, an approximation whose error is at most 2e-4.
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

        // The ends of the grid are compared with a margin, since data in single precision is rounded.
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
