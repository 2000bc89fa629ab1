using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>Computes the likelihood of data under a model.</summary>
public interface ILikelihood
{
    /// <summary>-log2 p(x) / D of each sample, with D its number of dimensions, or a bound on it.</summary>
    /// <param name="model">The model, in an inference scope while it is used.</param>
    /// <param name="samples">[B, ...] data, floating point, on the device of the network; not changed.</param>
    /// <param name="request">Seeds and condition.</param>
    /// <param name="cancellationToken">Ends the evaluation between two calls of the network.</param>
    /// <returns>[B] bits/dim, float64 on the CPU. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The samples do not fit the network or the request.</exception>
    /// <exception cref="OperationCanceledException">The request was cancelled.</exception>
    Tensor BitsPerDim(DiffusionModel model, Tensor samples, LikelihoodRequest request, CancellationToken cancellationToken = default);
}

/// <summary>The arguments of a likelihood in addition to the samples.</summary>
public sealed record LikelihoodRequest
{
    /// <summary>The root of every random draw: 0. A sample's draws depend on it and on the index of the sample alone.</summary>
    public long Seed { get; init; }

    /// <summary>The index of the first sample of the batch: 0.</summary>
    public long FirstSample { get; init; }

    /// <summary>The condition, of the same batch size, or <see langword="null"/>. The caller must dispose it.</summary>
    public Condition? Condition { get; init; }
}

/// <summary>What every likelihood checks before it touches native code.</summary>
internal static class SampleGuard
{
    /// <summary>Requires floating point samples, [B, ...], at least one of at least one dimension.</summary>
    public static void Check(Tensor samples)
    {
        Guard.Floating(samples);
        if (samples.dim() < 1 || samples.numel() == 0)
            throw new ArgumentException(
                $"The samples must be [B, ...] with no size of 0, got {Guard.Format(samples.shape)}.", nameof(samples));
    }
}
