using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>
/// A way to take the trace of a Jacobian J that is only known by its products with vectors: <c>sum_k v_k^T J v_k</c>, where the sum of
/// <c>v_k v_k^T</c> is the identity, or is so in expectation. Each vector costs one call of autograd.
/// </summary>
public interface ITraceEstimator
{
    /// <summary>The field's name of the estimator, such as <c>hutchinson-rademacher</c>.</summary>
    string Name { get; }

    /// <summary>The vectors v_k, the same along a whole trajectory.</summary>
    /// <param name="like">[B, ...]; gives the shape, the type and the device.</param>
    /// <param name="request">The seed and the index of the first sample.</param>
    /// <returns>At least one tensor of the shape of <paramref name="like"/>; the caller's.</returns>
    IReadOnlyList<Tensor> Vectors(Tensor like, LikelihoodRequest request);
}
