using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>Lower bounds on log p(x) of variational autoencoders, in nats.</summary>
public static class AutoencoderBound
{
    /// <summary>
    /// Computes the evidence lower bound of each sample, with the KL divergence in closed form:
    /// <c>E log p(x | z) - KL(q(z | x) || N(0, I))</c>.
    /// </summary>
    /// <param name="autoencoder">The autoencoder. Its latent distribution must be Gaussian, as that of a <see cref="Vae"/>.</param>
    /// <param name="likelihood">The reconstruction loss, which is -log p(x | z) of the decoder.</param>
    /// <param name="x">[B, ...] the data.</param>
    /// <param name="samples">The number of draws of z for each sample, at least 1. The default is 1.</param>
    /// <param name="generator">The generator of the draws. The default is <see langword="null"/>: the default generator.</param>
    /// <returns>[B] the bounds in nats, without gradients. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The latent distribution is not Gaussian, or a shape does not match.</exception>
    /// <remarks>Source: Kingma and Welling 2014, eq. 7.</remarks>
    public static Tensor Evidence(
        IAutoencoder autoencoder, Reconstruction likelihood, Tensor x, int samples = 1, Generator? generator = null)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        using var inference = Guard.NotNull(autoencoder).BeginInference();
        using var code = Code(autoencoder, x);
        var errors = Draws(samples, () =>
        {
            using var z = code.Sample(generator);
            return Error(autoencoder, likelihood, x, z);
        });
        return errors.mean([0L]).Add(code.Kl()).neg().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Computes the importance-weighted bound of each sample: <c>log 1/K sum_k p(x, z_k) / q(z_k | x)</c>, which increases with K towards
    /// log p(x).
    /// </summary>
    /// <param name="autoencoder">The autoencoder. Its latent distribution must be Gaussian, as that of a <see cref="Vae"/>.</param>
    /// <param name="likelihood">The reconstruction loss, which is -log p(x | z) of the decoder.</param>
    /// <param name="x">[B, ...] the data.</param>
    /// <param name="samples">K, the number of draws of z for each sample, at least 1.</param>
    /// <param name="generator">The generator of the draws. The default is <see langword="null"/>: the default generator.</param>
    /// <returns>[B] the bounds in nats, without gradients. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The latent distribution is not Gaussian, or a shape does not match.</exception>
    /// <remarks>Source: Burda et al. 2016, eq. 8.</remarks>
    public static Tensor ImportanceWeighted(
        IAutoencoder autoencoder, Reconstruction likelihood, Tensor x, int samples, Generator? generator = null)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        using var inference = Guard.NotNull(autoencoder).BeginInference();
        using var code = Code(autoencoder, x);
        var nought = zeros_like(code.Mean);
        var logWeights = Draws(samples, () =>
        {
            using var inner = NewDisposeScope();
            var z = code.Sample(generator);
            var prior = GaussianMath.LogDensity(z, nought, nought);
            var posterior = GaussianMath.LogDensity(z, code.Mean, code.LogVariance);
            return SampleSums(prior.sub(posterior)).sub(Error(autoencoder, likelihood, x, z)).MoveToOuterDisposeScope();
        });
        var largest = logWeights.amax([0L], keepdim: true);
        return logWeights.sub(largest).exp().mean([0L]).log().Add(largest.squeeze(0)).MoveToOuterDisposeScope();
    }

    private static Tensor Draws(int samples, Func<Tensor> draw)
    {
        var draws = new Tensor[Guard.Positive(samples)];
        for (var i = 0; i < samples; i++)
            draws[i] = draw();
        return stack(draws);
    }

    private static DiagonalGaussian Code(IAutoencoder autoencoder, Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        var code = autoencoder.Encode(x);
        if (code is DiagonalGaussian gaussian)
            return gaussian;
        using (code)
            throw new ArgumentException(
                $"The latent distribution must be a {nameof(DiagonalGaussian)}, got {code.GetType().Name}.", nameof(autoencoder));
    }

    private static Tensor Error(IAutoencoder autoencoder, Reconstruction likelihood, Tensor x, Tensor z)
    {
        using var scope = NewDisposeScope();
        return SampleSums(Guard.NotNull(likelihood).Of(autoencoder.Decode(z), x)).MoveToOuterDisposeScope();
    }

    private static Tensor SampleSums(Tensor values) => values.reshape(values.shape[0], -1).sum(1L);
}
