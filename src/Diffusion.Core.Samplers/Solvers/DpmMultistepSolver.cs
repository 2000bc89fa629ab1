using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DPM-Solver and DPM-Solver++ with one call of the network a step: the network's last answers are taken for a polynomial in lambda,
/// whose integral is exact. In the data form it is DPM-Solver++(2M) and (3M), in the noise form multistep DPM-Solver; with
/// <see cref="Tau"/> 1 the same for the reverse diffusion, SDE-DPM-Solver(++). The first steps have lower order, for want of history.
/// </summary>
/// <remarks>
/// Source: Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling", Algorithm 2, eq. 19 and appendix B. Measured on a mixture
/// of Gaussians, order 2 has order 2; order 3 as published halves the second derivative, and is of second order too, though better
/// below about 40 steps on Karras grids. Its stochastic form is that of diffusers, where one constant has the other sign: the spread of its
/// samples is of first order only. <see cref="Corrected"/> has the weights that polynomials ask for: order 3 from exact history, and a
/// spread of second order.
/// </remarks>
public sealed class DpmMultistepSolver : ISolver
{
    // The reference implementation lowers the order at the end of walks shorter than this.
    private const int FewSteps = 15;

    /// <summary>A method of the family; DPM-Solver++(2M) unless said otherwise.</summary>
    /// <param name="order">1, which is DDIM where nothing is random, 2 or 3.</param>
    /// <param name="form"><see cref="AlgorithmType.DataPrediction"/>, the "++", unless said otherwise.</param>
    /// <param name="tau">
    /// How much noise is drawn anew: 0 for the probability flow, 1 for the reverse diffusion. Its square is k-diffusion's eta.
    /// </param>
    /// <param name="heun">
    /// The weight of the slope in the second order method: the exact integral ("heun"), or half of the first weight ("midpoint").
    /// </param>
    /// <param name="lowerOrderFinal">True to lower the order of the last two steps in walks of less than 15 steps.</param>
    /// <param name="eulerAtFinal">True for a last step of first order, however many there are.</param>
    /// <exception cref="ArgumentOutOfRangeException">The order or tau lies outside its range.</exception>
    public DpmMultistepSolver(
        int order = 2, AlgorithmType? form = null, double tau = 0.0, bool heun = false, bool lowerOrderFinal = true, bool eulerAtFinal = false)
    {
        Order = Guard.InRange(order, 1, 3);
        Form = form ?? AlgorithmType.DataPrediction;
        Tau = Guard.InRange(tau, 0.0, 1e3);
        (Heun, LowerOrderFinal, EulerAtFinal) = (heun, lowerOrderFinal, eulerAtFinal);
    }

    /// <summary>The third order method with the whole second derivative, where the published one has half of it.</summary>
    /// <inheritdoc cref="DpmMultistepSolver(int, AlgorithmType?, double, bool, bool, bool)" path="/param"/>
    public static DpmMultistepSolver Corrected(
        AlgorithmType? form = null, double tau = 0.0, bool lowerOrderFinal = true, bool eulerAtFinal = false)
        => new(3, form, tau, heun: true, lowerOrderFinal, eulerAtFinal) { IsCorrected = true };

    /// <summary>The order of the method once there is history, 1 to 3.</summary>
    public int Order { get; }

    /// <summary>What is integrated.</summary>
    public AlgorithmType Form { get; }

    /// <summary>How much noise is drawn anew.</summary>
    public double Tau { get; }

    /// <summary>True where the second order method integrates the slope exactly.</summary>
    public bool Heun { get; }

    /// <summary>True where short walks end in lower order.</summary>
    public bool LowerOrderFinal { get; }

    /// <summary>True where the last step has first order.</summary>
    public bool EulerAtFinal { get; }

    /// <summary>True where the third order method is not the published one.</summary>
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

        // As published and in use: half of the second derivative, and in the stochastic data form a constant of the other sign.
        moments[2] *= 0.5;
        if (Tau != 0.0 && Form == AlgorithmType.DataPrediction)
            moments[2] -= move.Scale * move.Length * move.Length;
        return moments;
    }
}
