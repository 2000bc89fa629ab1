using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests.Support;

/// <summary>
/// A multistep method that is given its first steps: they follow the exact flow of the mixture, so that the method has the history it is
/// made for from its first step on.
/// </summary>
internal sealed class ExactStart(ISolver solver, int steps) : ISolver
{
    public int HistoryLength => solver.HistoryLength;

    public Tensor Step(SolverStep step)
    {
        if (step.Index >= steps)
            return solver.Step(step);
        var (from, to) = (step.From, step.To);
        return tensor(step.Sample.Values().Select(x => to.Alpha * ProbabilityFlow.Solve(x / from.Alpha, from.NoiseToSignalRatio, to.NoiseToSignalRatio)).ToArray());
    }
}
