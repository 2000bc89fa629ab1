using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>
/// A way to take the trace of a Jacobian J that is only known by its products with vectors: <c>sum_k v_k^T J v_k</c>, where the sum of
/// <c>v_k v_k^T</c> is the identity, or is so in expectation. Each vector costs one call of autograd.
/// </summary>
public abstract class TraceEstimator
{
    /// <summary>The field's name of the estimator, such as <c>hutchinson-rademacher</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The vectors v_k, the same along a whole trajectory.</summary>
    /// <param name="like">[B, ...]; gives the shape, the type and the device.</param>
    /// <param name="request">The seed and the index of the first sample.</param>
    /// <returns>At least one tensor of the shape of <paramref name="like"/>. The caller must dispose the returned tensor.</returns>
    public abstract IReadOnlyList<Tensor> Vectors(Tensor like, LikelihoodRequest request);

    // Keeps the vectors apart from other draws of the same seed and sample.
    private const long Word = -1_000;

    /// <summary>The trace itself, by one vector for each dimension: for data of few dimensions.</summary>
    public static TraceEstimator Exact { get; } = new ExactTrace();

    /// <summary>
    /// Vectors of independent signs, of the least variance among independent entries (Hutchinson 1989; Song et al. 2021, section 4.3).
    /// </summary>
    /// <param name="vectors">How many, at least 1; the variance falls as one over them.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are none.</exception>
    public static TraceEstimator Rademacher(int vectors = 1) => new HutchinsonTrace(
        "hutchinson-rademacher", vectors, (like, request, word) =>
        {
            using var uniform = SeededDraws.Uniform(like, request, word);
            using var positive = uniform.Ge(0.5);
            var signs = positive.to(like.dtype);
            return signs.Mul_(2.0).Sub_(1.0);
        });

    /// <summary>Vectors from N(0, I) (Skilling 1989; Grathwohl et al. 2019, section 3.1).</summary>
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
/// Draws that belong to a sample, by (seed, index of the sample, word), in any batch. They are drawn on the CPU in double
/// precision, then cast and moved.
/// </summary>
internal static class SeededDraws
{
    /// <summary>A batch of N(0, I), of the shape, type and device of a tensor. The caller must dispose it.</summary>
    public static Tensor Normal(Tensor like, LikelihoodRequest request, long word)
        => Draw(like, request, word, (shape, generator) => randn(shape, dtype: ScalarType.Float64, device: CPU, generator: generator));

    /// <summary>A batch of even draws from [0, 1), of the shape, type and device of a tensor. The caller must dispose it.</summary>
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
