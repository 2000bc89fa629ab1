using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// One step of a numerical method, as a pure function of its arguments: same call, same answer, whatever came before. Grid, history,
/// network and noise are all in the context.
/// </summary>
public interface ISolver
{
    /// <summary>How many earlier evaluations a step reads; 0 for a one-step method.</summary>
    int HistoryLength => 0;

    /// <summary>x at the next level of the grid.</summary>
    /// <param name="x">[B, ...] the sample at the current time; not changed.</param>
    /// <param name="step">Where the step starts and leads, and what the network says there.</param>
    /// <returns>The shape of <paramref name="x"/>; the caller's.</returns>
    Tensor Step(Tensor x, SolverStep step);
}
