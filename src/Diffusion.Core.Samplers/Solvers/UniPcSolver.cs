using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// UniPC: a multistep predictor, and a corrector that uses the prediction at the predicted point twice, to improve that point and to start
/// from it. One network call per step, and one order more than the predictor alone.
/// </summary>
/// <remarks>
/// Source: Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework", Algorithms 1 and 2 and appendix A. With three points or more
/// the weights follow from the moment conditions alone; with two, they are <c>B(h) / 2</c>, which is the only effect of B.
/// The last prediction is not corrected, because that would need another call. An infinite step, from a level without signal or to a level
/// without noise, is of first order and not corrected, so that it is finite for every B.
/// </remarks>
public sealed class UniPcSolver : ISolver
{
    private readonly Func<double, double> _b;
    private readonly Func<int, bool>? _corrects;

    /// <summary>Initializes a new instance of the <see cref="UniPcSolver"/> class. The default is UniPC-2 with B2.</summary>
    /// <param name="order">p, from 1 to 4. The default is 2.</param>
    /// <param name="algorithmType">The algorithm type. The default is <see cref="AlgorithmType.DataPrediction"/>.</param>
    /// <param name="b">
    /// B(z) of the paper, with B(z) = z + O(z^2): <see cref="Bh1"/>, <see cref="Bh2"/> or a custom function. z is h for noise prediction
    /// and -h for data prediction. The default is <see cref="Bh2"/>.
    /// </param>
    /// <param name="corrects">Returns whether the end of step k, 0..N-2, is corrected. The default corrects all of them.</param>
    /// <exception cref="ArgumentOutOfRangeException">The order is outside its range.</exception>
    public UniPcSolver(
        int order = 2,
        AlgorithmType? algorithmType = null,
        Func<double, double>? b = null,
        Func<int, bool>? corrects = null)
    {
        Order = Guard.InRange(order, 1, 4);
        AlgorithmType = algorithmType ?? AlgorithmType.DataPrediction;
        (_b, _corrects) = (b ?? Bh2, corrects);
    }

    /// <summary>B1(z) = z.</summary>
    public static Func<double, double> Bh1 { get; } = z => z;

    /// <summary>B2(z) = e^z - 1.</summary>
    public static Func<double, double> Bh2 { get; } = z => z * PhiFunction.Of(1, z);

    /// <summary>p, 1 to 4; the corrector has one order more.</summary>
    public int Order { get; }

    /// <summary>The algorithm type: the quantity that is integrated.</summary>
    public AlgorithmType AlgorithmType { get; }

    /// <summary>True if the order is lowered towards the end.</summary>
    public bool LowerOrderFinal { get; init; } = true;

    /// <inheritdoc/>
    public int HistoryLength => Order;

    /// <inheritdoc/>
    public void Validate(TimeGrid grid) => AlgorithmType.Validate(grid, stochastic: false);

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var corrected = Corrected(step);
        if (corrected is not null)
            step.DepartFrom(corrected);
        var move = new ExponentialStep(AlgorithmType, step.From, step.To);
        var past = move.HasMoments ? OrderAt(step.Index, step.Grid.Count) - 1 : 0;
        return ExponentialNodes.Of(AlgorithmType, step.Current, step.History, 0, past)
            .Advance(step, move, corrected ?? step.Sample, step.Current, Moments);
    }

    /// <summary>
    /// The sample with the last step of the predictor replaced by that of the corrector; <see langword="null"/> if it is not corrected.
    /// </summary>
    private Tensor? Corrected(SolverStep step)
    {
        if (step.History.Count == 0 || !(_corrects?.Invoke(step.Index - 1) ?? true))
            return null;
        var start = step.History[0].Prediction;
        var move = new ExponentialStep(AlgorithmType, start.Level, step.From);
        if (!double.IsFinite(move.Length) || move.Length == 0.0)
            return null;
        var past = OrderAt(step.Index - 1, step.Grid.Count) - 1;
        var predicted = ExponentialNodes.Of(AlgorithmType, start, step.History, 1, past);
        var corrected = ExponentialNodes.Of(AlgorithmType, start, step.History, 1, past);
        corrected.Add(step.Current);
        return predicted.Replace(step.Sample, move, corrected, Moments);
    }

    private int OrderAt(int index, int count) => LowerOrderFinal ? Math.Min(Order, count - index) : Order;

    private double[] Moments(ExponentialStep move, int count)
    {
        var moments = move.Moments(count);
        if (count == 2)
            moments[1] = 0.5 * move.Length * move.Length * move.Scale * (move.Exponent == 0.0 ? 1.0 : _b(move.Exponent) / move.Exponent);
        return moments;
    }
}
