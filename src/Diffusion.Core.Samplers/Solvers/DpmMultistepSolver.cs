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
public sealed record DpmMultistepSolver : ISolver
{
    // The reference implementation lowers the order of the last steps if there are fewer steps than this.
    private const int FewSteps = 15;

    /// <summary>Initializes a new instance of the <see cref="DpmMultistepSolver"/> class. The default is DPM-Solver++(2M).</summary>
    /// <param name="order">1 (DDIM if tau is 0), 2 or 3. The default is 2.</param>
    /// <param name="algorithmType">The algorithm type. The default is <see cref="AlgorithmType.DataPrediction"/>, the "++".</param>
    /// <param name="tau">
    /// The amount of noise: 0 for the probability flow ODE, 1 for the reverse SDE. Its square is k-diffusion's eta. The default is 0.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The order or tau is outside its range.</exception>
    public DpmMultistepSolver(int order = 2, AlgorithmType? algorithmType = null, double tau = 0.0)
    {
        Order = Guard.InRange(order, 1, 3);
        AlgorithmType = algorithmType ?? AlgorithmType.DataPrediction;
        Tau = Guard.InRange(tau, 0.0, 1e3);
    }

    /// <summary>The third-order method with the whole second derivative, instead of half of it as in the published method.</summary>
    /// <inheritdoc cref="DpmMultistepSolver(int, AlgorithmType?, double)" path="/param"/>
    public static DpmMultistepSolver Corrected(AlgorithmType? algorithmType = null, double tau = 0.0)
        => new(3, algorithmType, tau) { Heun = true, IsCorrected = true };

    /// <summary>The order of the method once there is enough history, 1 to 3.</summary>
    public int Order { get; }

    /// <summary>The algorithm type: the quantity that is integrated.</summary>
    public AlgorithmType AlgorithmType { get; }

    /// <summary>The amount of noise: 0 for the probability flow ODE, 1 for the reverse SDE.</summary>
    public double Tau { get; }

    /// <summary>
    /// The weight of the slope in the second-order method: <see langword="true"/> for the exact integral ("heun"), <see langword="false"/>
    /// (the default) for half of the first weight ("midpoint").
    /// </summary>
    public bool Heun { get; init; }

    /// <summary>True if the order of the last steps is lowered when there are fewer than 15 steps.</summary>
    public bool LowerOrderFinal { get; init; } = true;

    /// <summary>True if the last step has first order.</summary>
    public bool EulerAtFinal { get; init; }

    /// <summary>True if the weights are those of <see cref="Corrected"/> instead of the published ones.</summary>
    public bool IsCorrected { get; private init; }

    /// <inheritdoc/>
    public int HistoryLength => Order - 1;

    /// <inheritdoc/>
    public void Validate(TimeGrid grid) => AlgorithmType.Validate(grid, stochastic: Tau != 0.0);

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var move = new ExponentialStep(AlgorithmType, step.From, step.To, Tau);
        var order = move.HasMoments ? OrderAt(step.Index, step.Grid.Count) : 1;
        return ExponentialNodes.Of(AlgorithmType, step.Current, step.History, 0, order - 1).Advance(step, move, step.Sample, step.Current, Moments);
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
        if (Tau != 0.0 && AlgorithmType == AlgorithmType.DataPrediction)
            moments[2] -= move.Scale * move.Length * move.Length;
        return moments;
    }
}
