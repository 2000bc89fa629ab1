using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>
/// An estimator of the trace of a Jacobian J of which only products with vectors are known: <c>sum_k v_k^T J v_k</c>, where the sum of
/// <c>v_k v_k^T</c>, or its expectation, is the identity. Each vector requires one call of autograd.
/// </summary>
public abstract class TraceEstimator
{
    /// <summary>The standard name of the estimator, such as <c>hutchinson-rademacher</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Returns the vectors v_k, which are used along a whole trajectory.</summary>
    /// <param name="like">[B, ...] a tensor of the shape, type and device of the vectors.</param>
    /// <param name="request">The seed and the index of the first sample.</param>
    /// <returns>At least one tensor of the shape of <paramref name="like"/>. The caller must dispose the tensors.</returns>
    public abstract IReadOnlyList<Tensor> Vectors(Tensor like, LikelihoodRequest request);

    // Distinguishes these random numbers from others of the same seed and sample.
    private const long Word = -1_000;

    /// <summary>The exact trace, which uses one vector for each dimension. It is practical for data of few dimensions.</summary>
    public static TraceEstimator Exact { get; } = new ExactTrace();

    /// <summary>
    /// Creates an estimator with vectors of independent random signs, which have the least variance of all vectors with independent entries
    /// (Hutchinson 1989; Song et al. 2021, section 4.3).
    /// </summary>
    /// <param name="vectors">The number of vectors, at least 1, to which the variance is inversely proportional. The default is 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number of vectors is less than 1.</exception>
    public static TraceEstimator Rademacher(int vectors = 1) => new HutchinsonTrace(
        "hutchinson-rademacher", vectors, (like, request, word) =>
        {
            using var uniform = SeededDraws.Uniform(like, request, word);
            using var positive = uniform.Ge(0.5);
            var signs = positive.to(like.dtype);
            return signs.Mul_(2.0).Sub_(1.0);
        });

    /// <summary>Creates an estimator with vectors from N(0, I) (Skilling 1989; Grathwohl et al. 2019, section 3.1).</summary>
    /// <inheritdoc cref="Rademacher"/>
    public static TraceEstimator Gaussian(int vectors = 1) => new HutchinsonTrace("hutchinson-gaussian", vectors, SeededDraws.Normal);

    private sealed class ExactTrace : TraceEstimator
    {
        public override string Name => "exact";

        public override IReadOnlyList<Tensor> Vectors(Tensor like, LikelihoodRequest request)
        {
            var size = like.numel() / like.shape[0];
            var vectors = new Tensor[size];
            for (var k = 0; k < size; k++)
            {
                using var rows = zeros([like.shape[0], size], dtype: like.dtype, device: like.device);
                using var column = rows.narrow(1, k, 1);
                column.Fill_(1.0);
                vectors[k] = rows.reshape(like.shape);
            }

            return vectors;
        }
    }

    private sealed class HutchinsonTrace(string name, int count, Func<Tensor, LikelihoodRequest, long, Tensor> draw) : TraceEstimator
    {
        private readonly int _count = Guard.InRange(count, 1, int.MaxValue);

        public override string Name => name;

        public override IReadOnlyList<Tensor> Vectors(Tensor like, LikelihoodRequest request)
        {
            var vectors = new Tensor[_count];
            for (var k = 0; k < vectors.Length; k++)
                vectors[k] = draw(like, request, Word - k).Mul_(1.0 / Math.Sqrt(_count));
            return vectors;
        }
    }
}

/// <summary>
/// Draws random numbers that are a function of (seed, index of the sample, word) and do not depend on the batch. They are drawn on the CPU
/// in double precision, then converted and moved.
/// </summary>
internal static class SeededDraws
{
    /// <summary>
    /// Draws a batch from N(0, I), of the shape, type and device of a tensor. The caller must dispose the returned tensor.
    /// </summary>
    public static Tensor Normal(Tensor like, LikelihoodRequest request, long word)
        => Draw(like, request, word, (shape, generator) => randn(shape, dtype: ScalarType.Float64, device: CPU, generator: generator));

    /// <summary>
    /// Draws a batch from the uniform distribution over [0, 1], of the shape, type and device of a tensor: a draw below 1 in double precision
    /// can round to 1. The caller must dispose the returned tensor.
    /// </summary>
    public static Tensor Uniform(Tensor like, LikelihoodRequest request, long word)
        => Draw(like, request, word, (shape, generator) => rand(shape, dtype: ScalarType.Float64, device: CPU, generator: generator));

    private static Tensor Draw(Tensor like, LikelihoodRequest request, long word, Func<long[], Generator, Tensor> draw)
    {
        using var scope = NewDisposeScope();
        var rows = new Tensor[like.shape[0]];
        for (var i = 0; i < rows.Length; i++)
        {
            using var generator = SeedSequence.Generator(CPU, request.Seed, request.FirstSample + i, word);
            rows[i] = draw(like.shape[1..], generator);
        }

        return stack(rows).to(like.dtype, like.device).MoveToOuterDisposeScope();
    }
}
