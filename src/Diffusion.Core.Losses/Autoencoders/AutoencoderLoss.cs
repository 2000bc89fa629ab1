using System.Globalization;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>A training loss of an autoencoder, evaluated for each sample of a batch.</summary>
public interface IAutoencoderLoss
{
    /// <summary>Computes the loss of an autoencoder on one batch.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="x">[B, ...] the data.</param>
    /// <param name="generator">
    /// The generator of the random numbers that the loss draws, on any device. A trainer passes the generator of its step, so that a
    /// resumed run repeats the draws. The default is <see langword="null"/>: the default generator of TorchSharp.
    /// </param>
    /// <returns>The values of the loss by name, [B] each. The caller must dispose the returned object.</returns>
    /// <exception cref="ArgumentException">The shapes do not match.</exception>
    LossTerms Evaluate(IAutoencoder autoencoder, Tensor x, Generator? generator = null);
}

/// <summary>
/// The negative evidence lower bound of an autoencoder with a diagonal Gaussian posterior: <c>reconstruction + beta KL(q(z | x) ||
/// N(0, I))</c>, summed over the dimensions of a sample.
/// </summary>
/// <remarks>
/// Source: Kingma and Welling 2014, eq. 10; beta: Higgins et al. 2017, eq. 4; free bits: Kingma et al. 2016, appendix C.8.
/// </remarks>
public sealed class AutoencoderLoss : IAutoencoderLoss
{
    /// <summary>The name of the reconstruction loss in <see cref="LossTerms"/>.</summary>
    public const string ReconstructionName = "reconstruction";

    /// <summary>The name of the KL divergence in <see cref="LossTerms"/>: in nats, without beta and free bits.</summary>
    public const string KlName = "kl";

    /// <summary>Creates the loss.</summary>
    /// <param name="reconstruction">
    /// The loss of the decoder. The default is the negative log-likelihood of a Gaussian with a standard deviation of 1.
    /// </param>
    /// <param name="beta">
    /// The weight of the KL divergence, at least 0: 1 for the evidence lower bound, 1e-6 for latent diffusion. The default is 1.
    /// </param>
    /// <param name="freeBits">
    /// The number of nats of each latent channel that are not penalised: if the KL divergence of a channel, averaged over the batch,
    /// is less, it has no gradient. The default is 0: none.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">A number is negative or not finite.</exception>
    public AutoencoderLoss(Reconstruction? reconstruction = null, double beta = 1.0, double freeBits = 0.0)
    {
        Reconstruction = reconstruction ?? Losses.Reconstruction.Gaussian();
        Beta = Guard.Factor(beta);
        FreeBits = Guard.Factor(freeBits);
    }

    /// <summary>The loss of the decoder.</summary>
    public Reconstruction Reconstruction { get; }

    /// <summary>The weight of the KL divergence.</summary>
    public double Beta { get; }

    /// <summary>The number of nats of each latent channel that are not penalised.</summary>
    public double FreeBits { get; }

    /// <summary>Returns the name of the loss with its settings.</summary>
    public override string ToString()
        => string.Create(CultureInfo.InvariantCulture, $"{nameof(AutoencoderLoss)}({Reconstruction.GetType().Name}, beta {Beta}, free bits {FreeBits})");

    /// <summary>
    /// Computes the loss of an autoencoder on one batch, with one latent drawn for each sample. For a deterministic encoder
    /// (<see cref="LatentPoint"/>), there is no KL divergence, and the loss is the reconstruction loss.
    /// </summary>
    /// <inheritdoc cref="IAutoencoderLoss.Evaluate"/>
    /// <exception cref="ArgumentException">
    /// The output of the encoder is neither a <see cref="DiagonalGaussian"/> nor a <see cref="LatentPoint"/>, or the shapes do not
    /// match.
    /// </exception>
    public LossTerms Evaluate(IAutoencoder autoencoder, Tensor x, Generator? generator = null)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        using var code = autoencoder.Encode(x);
        if (code is not (DiagonalGaussian or LatentPoint))
            throw new ArgumentException(
                $"The code must be a {nameof(DiagonalGaussian)} or a {nameof(LatentPoint)}, got {code.GetType().Name}.",
                nameof(autoencoder));
        using var latent = code.Sample(generator);
        using var output = autoencoder.Decode(latent);
        if (code is DiagonalGaussian gaussian)
            return Evaluate(x, output, gaussian.Mean, gaussian.LogVariance);
        using var scope = NewDisposeScope();
        var reconstruction = Denoising.SumOfSamples(Reconstruction.Of(output, x));
        return new LossTerms(reconstruction.MoveToOuterDisposeScope())
            .Add(ReconstructionName, reconstruction.detach().clone().MoveToOuterDisposeScope());
    }

    /// <summary>Computes the loss of one batch from the outputs of the encoder and the decoder.</summary>
    /// <param name="x">[B, ...] the data.</param>
    /// <param name="output">The output of the decoder, in the form that <see cref="Reconstruction"/> requires.</param>
    /// <param name="mean">[B, C, ...] the mean of q(z | x).</param>
    /// <param name="logVariance">The log variance of q(z | x), with the shape of <paramref name="mean"/>.</param>
    /// <returns>
    /// <c>loss</c> with gradients, and <c>reconstruction</c> and <c>kl</c> without, [B] each. The caller must dispose the returned
    /// object.
    /// </returns>
    /// <exception cref="ArgumentException">The shapes do not match.</exception>
    public LossTerms Evaluate(Tensor x, Tensor output, Tensor mean, Tensor logVariance)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(output);
        Guard.SameShape(mean, logVariance);
        if (mean.dim() < 2 || x.dim() < 1 || mean.shape[0] != x.shape[0])
            throw new ArgumentException(
                $"The code must be [B, C, ...] for data [B, ...], got {Guard.Format(mean.shape)} for {Guard.Format(x.shape)}.",
                nameof(mean));
        using var scope = NewDisposeScope();
        var reconstruction = Denoising.SumOfSamples(Reconstruction.Of(output, x));
        var channels = GaussianMath.KlToStandard(mean, logVariance).reshape(mean.shape[0], mean.shape[1], -1).sum(2L);
        var kl = channels.sum(1L);
        var loss = reconstruction.Add(FreeBits > 0.0 ? WithFreeBits(channels) : kl, alpha: Beta);
        return new LossTerms(loss.MoveToOuterDisposeScope())
            .Add(ReconstructionName, reconstruction.detach().clone().MoveToOuterDisposeScope())
            .Add(KlName, kl.detach().clone().MoveToOuterDisposeScope());
    }

    /// <summary>Returns [B] values whose mean is sum_c max(freeBits, mean divergence of channel c).</summary>
    private Tensor WithFreeBits(Tensor channels)
    {
        var used = channels.mean([0L], keepdim: true).Gt(FreeBits).expand(channels.shape);
        return where(used, channels, channels.FullLike(FreeBits)).sum(1L);
    }
}
