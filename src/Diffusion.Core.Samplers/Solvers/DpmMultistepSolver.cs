using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DPM-Solver and DPM-Solver++ with one network call per step: the last predictions are interpolated by a polynomial in lambda, which is
/// integrated exactly. With data prediction this is DPM-Solver++(2M) and (3M), with noise prediction multistep DPM-Solver, and with
/// <see cref="Tau"/> 1 the same for the reverse SDE, SDE-DPM-Solver(++). The first steps have a lower order, because less history is
/// available.
/// </summary>
/// <remarks>
/// Source: Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling", Algorithm 2, eq. 19 and appendix B. Measured on a mixture of
/// Gaussians, order 2 converges with second order. Order 3 as published halves the second derivative and also converges with second order,
/// but is more accurate below about 40 steps on Karras grids. Its stochastic form is that of diffusers, in which one constant has the
/// opposite sign, so that the spread of its samples converges with first order only. <see cref="Corrected"/> has the exact weights of the
/// polynomial: third order with exact history, and second order in the spread.
/// </remarks>
public sealed class DpmMultistepSolver : ISolver
{
    // The reference implementation lowers the order of the last steps if there are fewer steps than this.
    private const int FewSteps = 15;

    /// <summary>Initializes a new instance of the <see cref="DpmMultistepSolver"/> class. The default is DPM-Solver++(2M).</summary>
    /// <param name="order">1 (DDIM if tau is 0), 2 or 3. The default is 2.</param>
    /// <param name="form">The algorithm type. The default is <see cref="AlgorithmType.DataPrediction"/>, the "++".</param>
    /// <param name="tau">
    /// The amount of noise: 0 for the probability flow ODE, 1 for the reverse SDE. Its square is k-diffusion's eta. The default is 0.
    /// </param>
    /// <param name="heun">
    /// The weight of the slope in the second-order method: true for the exact integral ("heun"), false for half of the first weight
    /// ("midpoint"). The default is <see langword="false"/>.
    /// </param>
    /// <param name="lowerOrderFinal">
    /// True to lower the order of the last two steps if there are fewer than 15 steps. The default is <see langword="true"/>.
    /// </param>
    /// <param name="eulerAtFinal">
    /// True for a last step of first order, for any number of steps. The default is <see langword="false"/>.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The order or tau is outside its range.</exception>
    public DpmMultistepSolver(
        int order = 2, AlgorithmType? form = null, double tau = 0.0, bool heun = false, bool lowerOrderFinal = true, bool eulerAtFinal = false)
    {
        Order = Guard.InRange(order, 1, 3);
        Form = form ?? AlgorithmType.DataPrediction;
        Tau = Guard.InRange(tau, 0.0, 1e3);
        (Heun, LowerOrderFinal, EulerAtFinal) = (heun, lowerOrderFinal, eulerAtFinal);
    }

    /// <summary>The third-order method with the whole second derivative, instead of half of it as in the published method.</summary>
    /// <inheritdoc cref="DpmMultistepSolver(int, AlgorithmType?, double, bool, bool, bool)" path="/param"/>
    public static DpmMultistepSolver Corrected(
        AlgorithmType? form = null, double tau = 0.0, bool lowerOrderFinal = true, bool eulerAtFinal = false)
        => new(3, form, tau, heun: true, lowerOrderFinal, eulerAtFinal) { IsCorrected = true };

    /// <summary>The order of the method once there is enough history, 1 to 3.</summary>
    public int Order { get; }

    /// <summary>The algorithm type: the quantity that is integrated.</summary>
    public AlgorithmType Form { get; }

    /// <summary>The amount of noise: 0 for the probability flow ODE, 1 for the reverse SDE.</summary>
    public double Tau { get; }

    /// <summary>True if the second-order method integrates the slope exactly.</summary>
    public bool Heun { get; }

    /// <summary>True if the order of the last steps is lowered when there are fewer than 15 steps.</summary>
    public bool LowerOrderFinal { get; }

    /// <summary>True if the last step has first order.</summary>
    public bool EulerAtFinal { get; }

    /// <summary>True if the weights are those of <see cref="Corrected"/> instead of the published ones.</summary>
    public bool IsCorrected { get; private init; }

    /// <inheritdoc/>
    public int HistoryLength => Order - 1;

    /// <inheritdoc/>
    public void Validate(TimeGrid grid) => Form.Validate(grid, stochastic: Tau != 0.0);

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var move = new ExponentialStep(Form, step.From, step.To, Tau);
        var order = move.HasMoments ? OrderAt(step.Index, step.Grid.Count) : 1;
        return ExponentialNodes.Of(Form, step.Current, step.History, 0, order - 1).Advance(step, move, step.Sample, step.Current, Moments);
    }

    private int OrderAt(int index, int count)
    {
        var left = count - index;
        if (left == 1 && EulerAtFinal)
            return 1;
        return LowerOrderFinal && count < FewSteps ? Math.Min(Order, left) : Order;
    }

    private double[] Moments(ExponentialStep move, int count)
    {
        var moments = move.Moments(count);
        if (count == 2 && !Heun)
            moments[1] = 0.5 * move.Length * moments[0];
        if (count < 3 || IsCorrected)
            return moments;

        // As published and implemented: half of the second derivative, and in the stochastic data form a constant of the opposite sign.
        moments[2] *= 0.5;
        if (Tau != 0.0 && Form == AlgorithmType.DataPrediction)
            moments[2] -= move.Scale * move.Length * move.Length;
        return moments;
    }
}
