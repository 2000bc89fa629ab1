using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The quantity that an exponential integrator approximates by a polynomial: the predicted x_0 (DPM-Solver++) or eps (DPM-Solver). The rest
/// of the probability flow ODE is solved exactly for every process. Over lambda = log(alpha / sigma), the ODE is
/// <c>d(x / sigma) = e^lambda x_0 dlambda</c> or <c>d(x / alpha) = -e^-lambda eps dlambda</c>.
/// </summary>
/// <remarks>Source: Lu et al. 2022, "DPM-Solver", eq. 3.4, and "DPM-Solver++", eq. 8.</remarks>
public sealed class AlgorithmType
{
    private AlgorithmType(string name) => Name = name;

    /// <summary>
    /// The predicted x_0 is approximated, as in DPM-Solver++. Steps to clean data are supported, and thresholding applies directly to the
    /// approximated quantity.
    /// </summary>
    public static AlgorithmType DataPrediction { get; } = new("data");

    /// <summary>
    /// The predicted eps is approximated, as in DPM-Solver. Steps to clean data are not supported: the grid must end at a small sigma.
    /// </summary>
    public static AlgorithmType NoisePrediction { get; } = new("noise");

    /// <summary>The name of the algorithm type.</summary>
    public string Name { get; }

    /// <summary>Returns the quantity from a prediction. The prediction owns the tensor.</summary>
    internal Tensor Of(ModelPrediction evaluation) => this == DataPrediction ? evaluation.X0 : evaluation.Epsilon;

    /// <summary>Throws if a method of this type does not support the grid.</summary>
    internal void Validate(TimeGrid grid, bool stochastic)
    {
        ArgumentNullException.ThrowIfNull(grid);
        var levels = grid.Levels;
        for (var k = 0; k < grid.Count; k++)
        {
            if (this == NoisePrediction && levels[k + 1].Sigma == 0.0)
                throw new ArgumentException(
                    Invariant($"Noise prediction does not support a level without noise, got one after step {k} of {grid.Count}; ")
                    + "end the grid at a "
                    + $"small sigma ({nameof(TimeGrid)}.{nameof(TimeGrid.WithFinalLevel)}), or use data prediction.",
                    nameof(grid));
            if (!stochastic)
                continue;
            if (levels[k + 1].Lambda < levels[k].Lambda)
                throw new ArgumentException(
                    Invariant($"A stochastic method must go from noise to data, but the log-SNR decreases in step {k}, from ")
                    + Invariant($"{levels[k].LogSnr} to ")
                    + Invariant($"{levels[k + 1].LogSnr}."),
                    nameof(grid));
            if (this == NoisePrediction && levels[k].Alpha == 0.0)
                throw new ArgumentException(
                    Invariant($"A stochastic method with noise prediction cannot start at a level without signal, got one at step {k}."),
                    nameof(grid));
        }
    }
}
