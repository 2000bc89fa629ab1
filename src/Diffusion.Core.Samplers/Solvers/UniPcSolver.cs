using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// UniPC: a multistep predictor and a corrector. The prediction at the predicted point is used twice, to correct this point and in the next
/// step. Each step needs one network call, and the order is one higher than that of the predictor alone.
/// </summary>
/// <remarks>
/// Source: Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework", Algorithms 1 and 2 and appendix A. With three points or more
/// the weights are determined by the moment conditions; with two points the weight is <c>B(h) / 2</c>, which is the only effect of B.
/// The last prediction is not corrected, because that would need another call. An infinite step, from a level without signal or to a level
/// without noise, is of first order and not corrected, so that it is finite for every B.
/// </remarks>
public sealed class UniPcSolver : ISolver
{
    private readonly Func<double, double> _b;
    private readonly Func<int, bool>? _corrects;

    /// <summary>Initializes a new instance of the <see cref="UniPcSolver"/> class. The default is UniPC-2 with B2.</summary>
    /// <param name="order">p, the order of the predictor, from 1 to 4. The default is 2.</param>
    /// <param name="algorithmType">The algorithm type. The default is <see cref="AlgorithmType.DataPrediction"/>.</param>
    /// <param name="b">
    /// The function B(z) of the paper, with B(z) = z + O(z^2): <see cref="Bh1"/>, <see cref="Bh2"/> or a custom function. z is h for noise
    /// prediction and -h for data prediction. The default is <see cref="Bh2"/>.
    /// </param>
    /// <param name="corrects">
    /// Returns whether the end of step k, 0..N-2, is corrected. The default is <see langword="null"/>: all are corrected.
    /// </param>
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

    /// <summary>The function B1(z) = z.</summary>
    public static Func<double, double> Bh1 { get; } = z => z;

    /// <summary>The function B2(z) = e^z - 1.</summary>
    public static Func<double, double> Bh2 { get; } = z => z * PhiFunction.Of(1, z);

    /// <summary>p, the order of the predictor, from 1 to 4. The corrector has the order p + 1.</summary>
    public int Order { get; }

    /// <summary>The algorithm type, which selects the integrated quantity.</summary>
    public AlgorithmType AlgorithmType { get; }

    /// <summary>Whether the order of the last steps is lowered. The default is <see langword="true"/>.</summary>
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
    /// Returns the sample with the last predictor step replaced by a corrector step, or <see langword="null"/> if it is not corrected.
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
