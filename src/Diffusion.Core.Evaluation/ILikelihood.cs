using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>Computes the likelihood of data under a model.</summary>
public interface ILikelihood
{
    /// <summary>Computes -log2 p(x) / D of each sample, where D is its number of dimensions, or a bound on it.</summary>
    /// <param name="model">
    /// The model. Its network is prepared with <see cref="DiffusionModel.BeginInference"/> for the duration of the call.
    /// </param>
    /// <param name="samples">[B, ...] the data, floating point, on the device of the network. It is not modified.</param>
    /// <param name="request">The seed, the index of the first sample and the condition.</param>
    /// <param name="cancellationToken">Checked before each call of the network.</param>
    /// <returns>[B] bits/dim, float64 on the CPU. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The samples do not match the network or the request.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    Tensor BitsPerDim(DiffusionModel model, Tensor samples, LikelihoodRequest request, CancellationToken cancellationToken = default);
}

/// <summary>The arguments of a likelihood in addition to the samples.</summary>
public sealed record LikelihoodRequest
{
    /// <summary>
    /// The seed of all random numbers. Those of a sample depend only on the seed and the index of the sample. The default is 0.
    /// </summary>
    public long Seed { get; init; }

    /// <summary>The index of the first sample of the batch. The default is 0.</summary>
    public long FirstSample { get; init; }

    /// <summary>The condition, of the same batch size. The caller must dispose it. The default is <see langword="null"/>: none.</summary>
    public Condition? Condition { get; init; }
}

/// <summary>Checks the samples of a likelihood before native code uses them.</summary>
internal static class SampleGuard
{
    /// <summary>Requires floating point samples [B, ...] with no size of 0.</summary>
    public static void Check(Tensor samples)
    {
        Guard.Floating(samples);
        if (samples.dim() < 1 || samples.numel() == 0)
            throw new ArgumentException(
                $"The samples must be [B, ...] with no size of 0, got {Guard.Format(samples.shape)}.", nameof(samples));
    }
}
