using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Singlestep DPM-Solver and DPM-Solver++ of order 1 to 3. The intermediate points of the Runge-Kutta method are points of the grid: all
/// steps of a block of <see cref="Order"/> steps start from the first sample of the block, so that the number of network calls is N for
/// every order. On a grid refined at the fraction 1/2, or at 1/3 and 2/3, of each step (<see cref="TimeGridExtensions.Refined"/>), the
/// method is DPM-Solver-2 or DPM-Solver-3 of the paper.
/// </summary>
/// <remarks>
/// Source: Lu et al. 2022, "DPM-Solver", Algorithms 1 and 2 and appendix D.2 (DPM-Solver-fast), and "DPM-Solver++", Algorithm 1. The last
/// block is shorter if N is not a multiple of the order.
/// </remarks>
public sealed record DpmSinglestepSolver : ISolver
{
    /// <summary>Initializes a new instance of the <see cref="DpmSinglestepSolver"/> class. The default is DPM-Solver++(2S).</summary>
    /// <param name="order">The order, from 1 to 3, which is also the number of steps of a block. The default is 2.</param>
    /// <param name="algorithmType">The algorithm type. The default is <see cref="AlgorithmType.DataPrediction"/>.</param>
    /// <param name="tau">The amount of noise: 0 for the probability flow ODE, 1 for the reverse SDE. The default is 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The order or tau is outside its range.</exception>
    public DpmSinglestepSolver(int order = 2, AlgorithmType? algorithmType = null, double tau = 0.0)
    {
        Order = Guard.InRange(order, 1, 3);
        AlgorithmType = algorithmType ?? AlgorithmType.DataPrediction;
        Tau = Guard.InRange(tau, 0.0, 1e3);
    }

    /// <summary>
    /// Creates the method with the weights of the papers: DPM-Solver-1, -2 and -3, or DPM-Solver++(2S). It differs from the default, which
    /// is that of diffusers, only in third order: the slope is also integrated exactly in the step to the second inner point.
    /// </summary>
    /// <inheritdoc cref="DpmSinglestepSolver(int, AlgorithmType?, double)"/>
    public static DpmSinglestepSolver Published(int order = 2, AlgorithmType? algorithmType = null, double tau = 0.0)
        => new(order, algorithmType, tau) { IsPublished = true };

    /// <summary>The order of a whole block, from 1 to 3.</summary>
    public int Order { get; }

    /// <summary>The algorithm type, which selects the integrated quantity.</summary>
    public AlgorithmType AlgorithmType { get; }

    /// <summary>The amount of noise: 0 for the probability flow ODE, 1 for the reverse SDE.</summary>
    public double Tau { get; }

    /// <summary>Whether derivatives are integrated exactly. The default is <see langword="false"/>.</summary>
    public bool Heun { get; init; }

    /// <summary>
    /// Whether the last step has first order if the number of steps is a multiple of <see cref="Order"/>. A last step to a level without noise
    /// always has first order. The default is <see langword="false"/>.
    /// </summary>
    public bool LowerOrderFinal { get; init; }

    /// <summary>Whether the weights of the third-order method are those of the paper.</summary>
    public bool IsPublished { get; private init; }

    /// <inheritdoc/>
    public int HistoryLength => Order - 1;

    /// <inheritdoc/>
    public void Validate(TimeGrid grid) => AlgorithmType.Validate(grid, stochastic: Tau != 0.0);

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var position = PositionAt(step);
        var (sample, start) = position == 0
            ? (step.Sample, step.Current)
            : (step.History[position - 1].Sample, step.History[position - 1].Prediction);
        var move = new ExponentialStep(AlgorithmType, start.Level, step.To, Tau);

        // The third-order midpoint method does not use the prediction at the first inner point.
        var nodes = ExponentialNodes.Of(AlgorithmType, start, [], 0, 0);
        if (position == 2 && Heun)
            nodes.Add(step.History[0].Prediction);
        if (position > 0)
            nodes.Add(step.Current);
        return nodes.Advance(step, move, sample, start, (exact, count) =>
        {
            var moments = exact.Moments(count);
            if (position == 1 && count == 2 && !Heun && !(IsPublished && Order == 3))
                moments[1] = 0.5 * exact.Length * moments[0];
            return moments;
        });
    }

    /// <summary>Returns the position of a step in its block: the number of steps since the start of the block.</summary>
    private int PositionAt(SolverStep step)
    {
        var startsAnew = step.IsLast && (step.To.Sigma == 0.0 || (LowerOrderFinal && step.Grid.Count % Order == 0));
        var position = startsAnew ? 0 : Math.Min(step.Index % Order, step.History.Count);
        if (position == 0)
            return 0;
        var move = new ExponentialStep(AlgorithmType, step.History[position - 1].Prediction.Level, step.To, Tau);
        return move.HasMoments ? position : 0;
    }
}
