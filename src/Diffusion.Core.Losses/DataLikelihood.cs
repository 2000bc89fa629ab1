using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>The likelihoods that end a variational bound.</summary>
public static class DataLikelihood
{
    /// <summary>
    /// Bytes scaled to [-1, 1]: each is a bin of the Gaussian (Ho et al. 2020, eq. 13), so that bits/dim are those of the bytes.
    /// </summary>
    public static IDataLikelihood Bytes { get; } = new DiscretisedGaussian(256);

    /// <summary>Continuous data: the density of the Gaussian itself. Bits/dim are those of a density, and may be negative.</summary>
    public static IDataLikelihood Continuous { get; } = new ContinuousGaussian();

    /// <summary>Data on an even grid of <paramref name="levels"/> points over [-1, 1]; <see cref="Bytes"/> has 256.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than two levels.</exception>
    public static IDataLikelihood Discretised(int levels) => new DiscretisedGaussian(Guard.InRange(levels, 2, int.MaxValue));

    private sealed class DiscretisedGaussian(int levels) : IDataLikelihood
    {
        public string Name => "discretised-gaussian";

        public Tensor LogLikelihood(Tensor x0, Tensor mean, Tensor logVariance)
            => GaussianMath.DiscretisedLogLikelihood(x0, mean, logVariance, levels);
    }

    private sealed class ContinuousGaussian : IDataLikelihood
    {
        public string Name => "gaussian";

        public Tensor LogLikelihood(Tensor x0, Tensor mean, Tensor logVariance) => GaussianMath.LogDensity(x0, mean, logVariance);
    }
}
