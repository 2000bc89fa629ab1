using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>
/// Computes the likelihood of data on a grid, such as bytes, with a likelihood of continuous data. Uniform noise of the width of a bin is
/// added to the data, and the result is converted to bits/dim of the bins. The mean over the noise is an upper bound on the bits/dim of the
/// data.
/// </summary>
/// <remarks>
/// Source: Theis et al. 2016, section 3.1; Song et al. 2021, appendix D.2. Level k of n, which is 2 k / (n - 1) - 1, becomes
/// 2 (k + u) / n - 1 with u uniform in [0, 1). The width of a bin is then 2 / n, so that log2(n / 2) bits/dim are added to those of the
/// density: 7 for bytes.
/// </remarks>
/// <param name="density">The likelihood of continuous data.</param>
/// <param name="levels">n, the number of levels, at least 2. The default is 256, for bytes.</param>
public sealed class DequantisedLikelihood(ILikelihood density, int levels = 256) : ILikelihood
{
    // Distinguishes these random numbers from others of the same seed and sample.
    private const long Word = -1;

    private readonly ILikelihood _density = density ?? throw new ArgumentNullException(nameof(density));

    /// <summary>n, the number of levels.</summary>
    public int Levels { get; } = Guard.InRange(levels, 2, int.MaxValue);

    /// <summary>The bits/dim that are added to those of the density: log2(n / 2).</summary>
    public double Offset { get; } = Math.Log2(levels / 2.0);

    /// <inheritdoc/>
    public Tensor BitsPerDim(DiffusionModel model, Tensor samples, LikelihoodRequest request, CancellationToken cancellationToken = default)
    {
        using var spread = Dequantise(samples, request);
        using var bits = _density.BitsPerDim(model, spread, request, cancellationToken);
        return bits.Add(Offset);
    }

    /// <summary>Adds the noise to the data.</summary>
    /// <param name="samples">[B, ...] the data on the grid over [-1, 1], floating point.</param>
    /// <param name="request">The seed and the index of the first sample.</param>
    /// <returns>A tensor of the shape and type of <paramref name="samples"/>, in [-1, 1]. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">The samples are not on the grid.</exception>
    public Tensor Dequantise(Tensor samples, LikelihoodRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        SampleGuard.Check(samples);
        DataLikelihood.Discretised(Levels).Check(samples);
        using var scope = NewDisposeScope();
        var level = samples.Add(1.0).Mul((Levels - 1) / 2.0).round();
        return level.Add(SeededDraws.Uniform(samples, request, Word)).Mul(2.0 / Levels).Sub(1.0).MoveToOuterDisposeScope();
    }
}
