using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DEIS in its logarithmic form: eps is taken for the polynomial in log(sigma / alpha) through its last values, and
/// <c>d(x / alpha) = eps d(sigma / alpha)</c> is integrated exactly. Unlike other methods in eps it also reaches data without noise,
/// because those integrals are finite.
/// </summary>
/// <remarks>
/// Source: Zhang and Chen 2023, "Fast Sampling of Diffusion Models with Exponential Integrator", section 3 (tAB-DEIS), with the
/// polynomial in log rho. It equals exponential Adams-Bashforth in the noise form, DPM-Solver's "heun" in second order.
/// </remarks>
public sealed class DeisSolver : ISolver
{
    private const int FewSteps = 15;

    /// <summary>A method of the family.</summary>
    /// <param name="order">1, which is DDIM, to 4.</param>
    /// <param name="lowerOrderFinal">True to lower the order of the last two steps in walks of less than 15 steps.</param>
    /// <exception cref="ArgumentOutOfRangeException">The order lies outside its range.</exception>
    public DeisSolver(int order = 2, bool lowerOrderFinal = true)
        => (Order, LowerOrderFinal) = (Guard.InRange(order, 1, 4), lowerOrderFinal);

    /// <summary>The order once there is history, 1 to 4.</summary>
    public int Order { get; }

    /// <summary>True where short walks end in lower order.</summary>
    public bool LowerOrderFinal { get; }

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
