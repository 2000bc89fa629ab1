using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DEIS in its logarithmic form: eps is approximated by the polynomial in log(sigma / alpha) through its last values, and
/// <c>d(x / alpha) = eps d(sigma / alpha)</c> is integrated exactly. Unlike other methods with noise prediction, it supports steps to clean
/// data, because these integrals are finite.
/// </summary>
/// <remarks>
/// Source: Zhang and Chen 2023, "Fast Sampling of Diffusion Models with Exponential Integrator", section 3 (tAB-DEIS), with the polynomial
/// in log rho. The method equals exponential Adams-Bashforth with noise prediction and, in second order, DPM-Solver with "heun".
/// </remarks>
public sealed class DeisSolver : ISolver
{
    private const int FewSteps = 15;

    /// <summary>Initializes a new instance of the <see cref="DeisSolver"/> class.</summary>
    /// <param name="order">The order, from 1 (DDIM) to 4. The default is 2.</param>
    /// <exception cref="ArgumentOutOfRangeException">The order is outside its range.</exception>
    public DeisSolver(int order = 2) => Order = Guard.InRange(order, 1, 4);

    /// <summary>The order, from 1 to 4. The first steps have a lower order, because less history is available.</summary>
    public int Order { get; }

    /// <summary>
    /// Whether the order of the last steps is lowered if the grid has fewer than 15 steps. The default is <see langword="true"/>.
    /// </summary>
    public bool LowerOrderFinal { get; init; } = true;

    /// <inheritdoc/>
    public int HistoryLength => Order - 1;

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var left = step.Grid.Count - step.Index;
        var order = LowerOrderFinal && step.Grid.Count < FewSteps ? Math.Min(Order, left) : Order;
        var move = new ExponentialStep(AlgorithmType.NoisePrediction, step.From, step.To);
        return ExponentialNodes.Of(AlgorithmType.NoisePrediction, step.Current, step.History, 0, order - 1)
            .Advance(step, move, step.Sample, step.Current, (exact, count) => exact.Moments(count));
    }
}
