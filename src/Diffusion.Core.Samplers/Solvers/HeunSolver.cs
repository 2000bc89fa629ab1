using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Heun's method for the probability flow ODE: an Euler step, then a step with the mean of the slopes at both ends. This is the sampler of
/// EDM.
/// </summary>
/// <remarks>
/// A step is <c>y' = y + (r' - r) (eps + eps') / 2</c> with y = x / alpha and r = sigma / alpha. The method is of second order, with two
/// network calls per step. A step to clean data or from pure noise is an Euler step with one call.
/// Source: Karras et al. 2022, Algorithms 1 and 2.
/// </remarks>
public sealed class HeunSolver : ISolver
{
    /// <summary>Initializes a new instance of the <see cref="HeunSolver"/> class.</summary>
    /// <param name="churn">The noise added before a step. The default is <see cref="Churn.None"/>.</param>
    public HeunSolver(Churn? churn = null) => Churn = churn ?? Churn.None;

    /// <summary>The noise added before a step.</summary>
    public Churn Churn { get; }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var to = step.To;
        using var start = ChurnedStart.Of(step, Churn);
        var x = SigmaAlgebra.EulerTo(start.Prediction, to);
        if (to.Sigma == 0.0 || start.Level.Alpha == 0.0)
            return x;

        using var predicted = x;
        using var end = step.Evaluate(predicted, SigmaAlgebra.TargetTime(step), to);
        var half = 0.5 * SigmaAlgebra.Length(start.Level, to);
        return predicted.Add(end.Epsilon, alpha: half).Add_(start.Prediction.Epsilon, alpha: -half);
    }
}
