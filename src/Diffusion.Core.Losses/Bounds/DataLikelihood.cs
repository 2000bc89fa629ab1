using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>p(x_0 | x_1): the likelihood of the data in the last step of the reverse process.</summary>
public abstract class DataLikelihood
{
    /// <summary>The field's name of the likelihood, such as <c>discretised-gaussian</c>.</summary>
    public abstract string Name { get; }

    /// <summary>log p(x_0 | x_1) of each element, in nats.</summary>
    /// <param name="x0">[B, ...] data.</param>
    /// <param name="mean">The shape of <paramref name="x0"/>: the mean of the reverse step.</param>
    /// <param name="logVariance">Its log variance; broadcasts to that shape.</param>
    /// <returns>The shape of <paramref name="x0"/>, finite and with gradients. The caller must dispose the returned tensor.</returns>
    public abstract Tensor LogLikelihood(Tensor x0, Tensor mean, Tensor logVariance);

    /// <summary>
    /// Bytes scaled to [-1, 1]: each is a bin of the Gaussian (Ho et al. 2020, eq. 13), so that bits/dim are those of the bytes.
    /// </summary>
    public static DataLikelihood Bytes { get; } = new DiscretisedGaussian(256);

    /// <summary>Continuous data: the density of the Gaussian itself. Bits/dim are those of a density, and may be negative.</summary>
    public static DataLikelihood Continuous { get; } = new ContinuousGaussian();

    /// <summary>Data on an even grid of <paramref name="levels"/> points over [-1, 1]; <see cref="Bytes"/> has 256.</summary>
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
