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

    /// <summary>Throws if the data are not of the kind that the likelihood describes. The default implementation accepts all data.</summary>
    /// <param name="x0">[B, ...] the data.</param>
    /// <exception cref="ArgumentException">The data do not match the likelihood, such as values between the levels of a grid.</exception>
    public virtual void Check(Tensor x0)
    {
    }

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

        public override void Check(Tensor x0)
        {
            ArgumentNullException.ThrowIfNull(x0);
            using var gradientsOff = no_grad();
            using var scope = NewDisposeScope();
            var level = x0.to(ScalarType.Float64).Add(1.0).Mul((levels - 1) / 2.0);
            var (min, max) = (level.min().item<double>(), level.max().item<double>());
            var distance = level.sub(level.round()).abs().max().item<double>();
            if (min >= -Tolerance(x0.dtype) && max <= levels - 1 + Tolerance(x0.dtype) && distance <= Tolerance(x0.dtype))
                return;
            var (first, last) = (x0.min().to(ScalarType.Float64).item<double>(), x0.max().to(ScalarType.Float64).item<double>());
            throw new ArgumentException(
                Invariant($"The data must be on the grid of {levels} equally spaced values in [-1, 1], as 8-bit data with 256; got values from ")
                + Invariant($"{first:G6} to {last:G6}, up to {distance:G3} of a level from the grid. For other data use ")
                + $"{nameof(DataLikelihood)}.{nameof(Continuous)}.",
                nameof(x0));
        }

        /// <summary>The error of a level in the type of the data, whose values near 1 have a relative accuracy.</summary>
        private double Tolerance(ScalarType type) => type switch
        {
            ScalarType.BFloat16 => levels / 512.0,
            ScalarType.Float16 => levels / 4096.0,
            ScalarType.Float32 => Math.Max(1e-3, levels * 1e-7),
            _ => Math.Max(1e-6, levels * 1e-14),
        };
    }

    private sealed class ContinuousGaussian : DataLikelihood
    {
        public override string Name => "gaussian";

        public override Tensor LogLikelihood(Tensor x0, Tensor mean, Tensor logVariance) => GaussianMath.LogDensity(x0, mean, logVariance);
    }
}
