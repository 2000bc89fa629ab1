using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Interop;

/// <summary>
/// A one-step method whose steps lead to levels of their own, and not to where the next step is taken to start: some schedulers do so,
/// and what their networks give can only be had again by doing the same.
/// </summary>
internal sealed class TargetedSolver : ISolver
{
    private readonly ISolver _solver;
    private readonly NoiseLevel[] _targets;

    private TargetedSolver(ISolver solver, NoiseLevel[] targets) => (_solver, _targets) = (solver, targets);

    /// <summary>The method itself, where each target but the last is the next level of the grid.</summary>
    public static ISolver Over(TimeGrid grid, ISolver solver, NoiseLevel[] targets)
    {
        for (var k = 0; k + 1 < targets.Length; k++)
        {
            if (targets[k] != grid.Levels[k + 1])
                return new TargetedSolver(solver, targets);
        }

        return solver;
    }

    public Tensor Step(SolverStep step)
    {
        using var targeted = step.Towards(_targets[step.Index]);
        return _solver.Step(targeted);
    }
}
