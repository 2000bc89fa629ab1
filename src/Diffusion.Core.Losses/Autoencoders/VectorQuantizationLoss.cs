using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// The loss of an autoencoder with a codebook: the reconstruction loss, summed over the dimensions of a sample, plus the codebook and
/// commitment terms, summed over the dimensions of the latents of a sample.
/// </summary>
/// <remarks>Source: van den Oord et al. 2017, eq. 3.</remarks>
/// <param name="reconstruction">The loss of the decoder. The default is the squared error.</param>
/// <param name="codebookWeight">The weight of the codebook and commitment terms, at least 0. The default is 1.</param>
public sealed class VectorQuantizationLoss(Reconstruction? reconstruction = null, double codebookWeight = 1.0) : IAutoencoderLoss
{
    /// <summary>
    /// The name of the codebook and commitment terms in <see cref="LossTerms"/>: their sum over the dimensions of the latents,
    /// unweighted, with the same value for all samples of a batch.
    /// </summary>
    public const string CodebookName = "codebook";

    /// <summary>The loss of the decoder.</summary>
    public Reconstruction Reconstruction { get; } = reconstruction ?? Losses.Reconstruction.L2;

    /// <summary>The weight of the codebook and commitment terms.</summary>
    public double CodebookWeight { get; } = Guard.Factor(codebookWeight);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The autoencoder has no codebook.</exception>
    public LossTerms Evaluate(IAutoencoder autoencoder, Tensor x, Generator? generator = null)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (autoencoder is not IQuantizedAutoencoder quantized)
            throw new ArgumentException(
                $"The autoencoder must have a codebook ({nameof(IQuantizedAutoencoder)}), got {autoencoder?.GetType().Name}.",
                nameof(autoencoder));
        using var scope = NewDisposeScope();
        using var code = quantized.Encode(x);
        using var quantization = quantized.Quantize(code.Mode);
        var errors = Denoising.SumOfSamples(Reconstruction.Of(quantized.DecodeQuantized(quantization.Quantized), x));
        var codebook = quantization.Loss.Mul(code.Mode.shape[1..].Aggregate(1L, (product, size) => product * size));
        var loss = errors.Add(codebook, alpha: CodebookWeight);
        return new LossTerms(loss.MoveToOuterDisposeScope())
            .Add(AutoencoderLoss.ReconstructionName, errors.detach().clone().MoveToOuterDisposeScope())
            .Add(CodebookName, codebook.detach().expand(errors.shape).clone().MoveToOuterDisposeScope());
    }
}
