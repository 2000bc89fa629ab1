using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Euler's method for the probability flow ODE, with noise added before a step as <see cref="Churn"/> specifies. Without churn this is
/// <see cref="DdimSolver"/> with eta 0, for every process. Euler's method with ancestral noise is <see cref="DdimSolver"/> with eta 1.
/// </summary>
/// <remarks>
/// A step is <c>y' = y + (r' - r) eps</c> with y = x / alpha and r = sigma / alpha. The method is of first order, with one network call per
/// step. For rectified flow (alpha = 1 - s, sigma = s) it is <c>x' = x + (s' - s) v</c>, the Euler method of flow matching.
/// Source: Karras et al. 2022, Algorithm 2 without its correction.
/// </remarks>
public sealed class EulerSolver : ISolver
{
    /// <summary>Initializes a new instance of the <see cref="EulerSolver"/> class.</summary>
    /// <param name="churn">The noise added before a step. The default is <see cref="Churn.None"/>.</param>
    public EulerSolver(Churn? churn = null) => Churn = churn ?? Churn.None;

    /// <summary>The noise added before a step.</summary>
    public Churn Churn { get; }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        using var start = ChurnedStart.Of(step, Churn);
        return SigmaAlgebra.EulerTo(start.Prediction, step.To);
    }
}
