using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Heun's method along the straight line between two levels, where x changes by <c>d(alpha) x_0 + d(sigma) eps</c>. For rectified flow,
/// this is the velocity of flow matching times the change of time. Unlike <see cref="HeunSolver"/>, a step from pure noise is not a special
/// case.
/// </summary>
/// <remarks>
/// For rectified flow a step is <c>x' = x + (s' - s) (v + v') / 2</c>, where alpha = 1 - s, sigma = s and v = eps - x_0. The method is of
/// second order, with two network calls per step, or one for a step to clean data. On a variance-exploding process it is
/// <see cref="HeunSolver"/>; on other processes the two have different errors, because Heun's method, unlike Euler's, depends on the
/// coordinates.
/// Source: Lipman et al. 2023, "Flow Matching for Generative Modeling"; Esser et al. 2024, "Scaling Rectified Flow Transformers".
/// </remarks>
public sealed class FlowHeunSolver : ISolver
{
    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var (from, to, start) = (step.From, step.To, step.Current);
        var x = SigmaAlgebra.EulerTo(start, to);
        if (to.Sigma == 0.0)
            return x;

        using var predicted = x;
        using var end = step.Evaluate(predicted, SigmaAlgebra.TargetTime(step), to);
        var (data, noise) = (0.5 * (to.Alpha - from.Alpha), 0.5 * (to.Sigma - from.Sigma));
        return LinearCombination.Of((1.0, predicted), (data, end.X0), (-data, start.X0), (noise, end.Epsilon), (-noise, start.Epsilon));
    }
}
