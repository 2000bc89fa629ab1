using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// SA-Solver: a stochastic Adams predictor and corrector. tau selects the reverse process at each time: 0 for the probability flow ODE, 1
/// for the reverse SDE. One network call per step.
/// </summary>
/// <remarks>
/// Source: Xue et al. 2023, "SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models", eq. 14, 17 and 20, Algorithm 1.
/// Integrals of the interpolating polynomials are exact, except in the second-order methods with data prediction, whose slope has the
/// weight <c>(1 + tau^2) h / 2</c>, as in the code of the authors. A step draws noise even if tau is 0, so that the draws of other steps do
/// not depend on tau.
/// </remarks>
public sealed class SaSolver : ISolver
{
    private readonly Func<double, NoiseLevel, double> _tau;

    /// <summary>Initializes a new instance of the <see cref="SaSolver"/> class.</summary>
    /// <param name="predictorOrder">The order of the predictor, from 1 to 4. The default is 2.</param>
    /// <param name="correctorOrder">
    /// The order of the corrector, from 0 (no corrector) to 4. It is the number of predictions that the corrector uses, including the
    /// newest. The default is 2.
    /// </param>
    /// <param name="tau">
    /// Returns tau for a step, given the time and the level at its start. The default is <see cref="MiddleTau"/>.
    /// </param>
    /// <param name="algorithmType">The algorithm type. The default is <see cref="AlgorithmType.DataPrediction"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">An order is outside its range.</exception>
    public SaSolver(
        int predictorOrder = 2,
        int correctorOrder = 2,
        Func<double, NoiseLevel, double>? tau = null,
        AlgorithmType? algorithmType = null)
    {
        PredictorOrder = Guard.InRange(predictorOrder, 1, 4);
        CorrectorOrder = Guard.InRange(correctorOrder, 0, 4);
        AlgorithmType = algorithmType ?? AlgorithmType.DataPrediction;
        _tau = tau ?? MiddleTau;
    }

    /// <summary>The tau of diffusers: 1 from index 200 to index 800 of a schedule of 1,000 steps, and 0 otherwise.</summary>
    public static Func<double, NoiseLevel, double> MiddleTau { get; } = (time, _) => time is >= 200.0 and <= 800.0 ? 1.0 : 0.0;

    /// <summary>The order of the predictor. The first steps have a lower order, because less history is available.</summary>
    public int PredictorOrder { get; }

    /// <summary>
    /// The order of the corrector; 0 for no corrector. The first steps have a lower order, because less history is available.
    /// </summary>
    public int CorrectorOrder { get; }

    /// <summary>The algorithm type, which selects the integrated quantity.</summary>
    public AlgorithmType AlgorithmType { get; }

    /// <summary>Whether the orders of the last steps are lowered. The default is <see langword="true"/>.</summary>
    public bool LowerOrderFinal { get; init; } = true;

    /// <inheritdoc/>
    public int HistoryLength => Math.Max(PredictorOrder, CorrectorOrder - 1);

    /// <inheritdoc/>
    public void Validate(TimeGrid grid) => AlgorithmType.Validate(grid, stochastic: true);

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var corrected = Corrected(step);
        if (corrected is not null)
            step.DepartFrom(corrected);
        var move = new ExponentialStep(AlgorithmType, step.From, step.To, TauAt(step.Time, step.From));
        var past = move.HasMoments ? OrderAt(PredictorOrder, step.Index, step.Grid.Count) - 1 : 0;
        if (move.Deviation == 0.0)
            step.DrawNoise().Dispose();
        return ExponentialNodes.Of(AlgorithmType, step.Current, step.History, 0, past)
            .Advance(step, move, corrected ?? step.Sample, step.Current, Moments);
    }

    /// <summary>
    /// Returns the sample with the last predictor step replaced by a corrector step with the same noise, or <see langword="null"/> if it is
    /// not corrected.
    /// </summary>
    private Tensor? Corrected(SolverStep step)
    {
        if (step.History.Count == 0 || CorrectorOrder == 0)
            return null;
        var start = step.History[0].Prediction;
        var move = new ExponentialStep(AlgorithmType, start.Level, step.From, TauAt(start.Time, start.Level));
        if (!double.IsFinite(move.Length) || move.Length == 0.0)
            return null;
        var (index, count) = (step.Index - 1, step.Grid.Count);
        var predicted = ExponentialNodes.Of(AlgorithmType, start, step.History, 1, OrderAt(PredictorOrder, index, count) - 1);
        var corrected = new ExponentialNodes(AlgorithmType, start.Level);
        corrected.Add(step.Current);
        var order = OrderAt(CorrectorOrder, index - 1, count);
        if (order > 1)
            corrected.Add(start);
        for (var i = 1; i < Math.Min(order - 1, step.History.Count); i++)
            corrected.Add(step.History[i].Prediction);
        return predicted.Replace(step.Sample, move, corrected, Moments);
    }

    private double TauAt(double time, NoiseLevel level)
    {
        var tau = _tau(time, level);
        return tau >= 0.0 && double.IsFinite(tau)
            ? tau
            : throw new ArgumentOutOfRangeException(
                nameof(time), tau, Invariant($"tau must be finite and at least 0, got {tau} at time {time}."));
    }

    private int OrderAt(int order, int index, int count) => LowerOrderFinal ? Math.Min(order, count - index) : order;

    private double[] Moments(ExponentialStep move, int count)
    {
        var moments = move.Moments(count);
        if (count == 2 && AlgorithmType == AlgorithmType.DataPrediction)
            moments[1] = 0.5 * move.Kappa * move.Scale * move.Length * move.Length;
        return moments;
    }
}
