using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>
/// Draws that belong to a sample, by (seed, index of the sample, word), whichever batch it is in. They are made on the CPU in double
/// precision, then cast and moved.
/// </summary>
internal static class SeededDraws
{
    /// <summary>A batch of N(0, I), of the shape, type and device of a tensor; the caller's.</summary>
    public static Tensor Normal(Tensor like, LikelihoodRequest request, long word)
        => Draw(like, request, word, (shape, generator) => randn(shape, dtype: ScalarType.Float64, device: CPU, generator: generator));

    /// <summary>A batch of even draws from [0, 1), of the shape, type and device of a tensor; the caller's.</summary>
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
