using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>The likelihood p(x_0 | x_1) of the data in the last step of the reverse process.</summary>
public abstract class DataLikelihood
{
    /// <summary>The standard name of the likelihood, such as <c>discretised-gaussian</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Computes log p(x_0 | x_1) of each element, in nats.</summary>
    /// <param name="x0">[B, ...] the data.</param>
    /// <param name="mean">The mean of the reverse step, with the shape of <paramref name="x0"/>.</param>
    /// <param name="logVariance">The log variance of the reverse step, which broadcasts against <paramref name="x0"/>.</param>
    /// <returns>
    /// The log-likelihoods, finite, with the shape of <paramref name="x0"/> and with gradients. The caller must dispose the returned
    /// tensor.
    /// </returns>
    public abstract Tensor LogLikelihood(Tensor x0, Tensor mean, Tensor logVariance);

    /// <summary>
    /// The likelihood of 8-bit data scaled to [-1, 1]. Each value is a bin of the Gaussian (Ho et al. 2020, eq. 13), so that bits/dim
    /// refer to the 8-bit data.
    /// </summary>
    public static DataLikelihood Bytes { get; } = new DiscretisedGaussian(256);

    /// <summary>
    /// The likelihood of continuous data, the density of the Gaussian. Bits/dim then refer to a density and may be negative.
    /// </summary>
    public static DataLikelihood Continuous { get; } = new ContinuousGaussian();

    /// <summary>
    /// Creates the likelihood of data on a grid of <paramref name="levels"/> equally spaced values in [-1, 1]. <see cref="Bytes"/> has
    /// 256 levels.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than two levels.</exception>
    public static DataLikelihood Discretised(int levels) => new DiscretisedGaussian(Guard.InRange(levels, 2, int.MaxValue));

    private sealed class DiscretisedGaussian(int levels) : DataLikelihood
    {
        public override string Name => "discretised-gaussian";

        public override Tensor LogLikelihood(Tensor x0, Tensor mean, Tensor logVariance)
            => GaussianMath.DiscretisedLogLikelihood(x0, mean, logVariance, levels);
    }

    private sealed class ContinuousGaussian : DataLikelihood
    {
        public override string Name => "gaussian";

        public override Tensor LogLikelihood(Tensor x0, Tensor mean, Tensor logVariance) => GaussianMath.LogDensity(x0, mean, logVariance);
    }
}
