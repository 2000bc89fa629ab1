using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>The estimators of a trace of the literature.</summary>
public static class TraceEstimator
{
    // Keeps the vectors apart from other draws of the same seed and sample.
    private const long Word = -1_000;

    /// <summary>The trace itself, by one vector for each dimension: for data of few dimensions.</summary>
    public static ITraceEstimator Exact { get; } = new ExactTrace();

    /// <summary>
    /// Vectors of independent signs, of the least variance among independent entries (Hutchinson 1989; Song et al. 2021, section 4.3).
    /// </summary>
    /// <param name="vectors">How many, at least 1; the variance falls as one over them.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are none.</exception>
    public static ITraceEstimator Rademacher(int vectors = 1) => new HutchinsonTrace(
        "hutchinson-rademacher", vectors, (like, request, word) =>
        {
            using var uniform = SeededDraws.Uniform(like, request, word);
            using var positive = uniform.Ge(0.5);
            var signs = positive.to(like.dtype);
            return signs.Mul_(2.0).Sub_(1.0);
        });

    /// <summary>Vectors from N(0, I) (Skilling 1989; Grathwohl et al. 2019, section 3.1).</summary>
    /// <inheritdoc cref="Rademacher"/>
    public static ITraceEstimator Gaussian(int vectors = 1) => new HutchinsonTrace("hutchinson-gaussian", vectors, SeededDraws.Normal);

    private sealed class ExactTrace : ITraceEstimator
    {
        public string Name => "exact";

        public IReadOnlyList<Tensor> Vectors(Tensor like, LikelihoodRequest request)
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

    private sealed class HutchinsonTrace(string name, int count, Func<Tensor, LikelihoodRequest, long, Tensor> draw) : ITraceEstimator
    {
        private readonly int _count = Guard.InRange(count, 1, int.MaxValue);

        public string Name => name;

        public IReadOnlyList<Tensor> Vectors(Tensor like, LikelihoodRequest request)
        {
            var vectors = new Tensor[_count];
            for (var k = 0; k < vectors.Length; k++)
                vectors[k] = draw(like, request, Word - k).Mul_(1.0 / Math.Sqrt(_count));
            return vectors;
        }
    }
}
