using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// PNDM and iPNDM: the last predictions are combined by the Adams-Bashforth formulas for equal steps, up to fourth order, and the result is
/// used in a DDIM step. The linear multistep method (PLMS) needs one network call per step. The first steps use one of three methods:
/// formulas of lower order, beginning with an Euler step (iPNDM); a second call at the end of the first step (PLMS of latent diffusion,
/// with a grid from <see cref="TimeGridExtensions.WithTrapezoidStart"/>); or three Runge-Kutta steps (PRK, with a grid from
/// <see cref="TimeGridExtensions.WithRungeKuttaStart"/>).
/// </summary>
/// <remarks>
/// Source: Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds", eq. 9, 11, 12, 13 and Algorithm 2; Zhang and Chen
/// 2023, appendix H, for iPNDM. The last step has the same order as the others, so that a step to clean data returns an extrapolated x_0
/// instead of the last predicted x_0.
/// </remarks>
public sealed class PndmSolver : ISolver
{
    private const int Start = 12;
    private readonly Prediction _quantity;

    /// <summary>Initializes a new instance of the <see cref="PndmSolver"/> class.</summary>
    /// <param name="quantity">
    /// The quantity that is extrapolated. The default is eps. diffusers extrapolates v if the network predicts v.
    /// </param>
    public PndmSolver(Prediction? quantity = null) => _quantity = quantity ?? Prediction.Epsilon;

    /// <summary>
    /// Whether the first twelve steps of the grid are the stages of three Runge-Kutta steps. The default is <see langword="false"/>.
    /// </summary>
    public bool RungeKuttaStart { get; init; }

    /// <inheritdoc/>
    public int HistoryLength => RungeKuttaStart ? Start : 4;

    /// <inheritdoc/>
    public void Validate(TimeGrid grid)
    {
        ArgumentNullException.ThrowIfNull(grid);
        if (!RungeKuttaStart)
            return;
        var levels = grid.Levels;
        for (var k = 0; k < Start; k += 4)
        {
            if (grid.Count < Start || levels[k + 3] != levels[k + 4])
                throw new ArgumentException(
                    $"A Runge-Kutta start needs a grid from {nameof(TimeGridExtensions.WithRungeKuttaStart)}, got another grid of "
                    + $"{grid.Count} steps.",
                    nameof(grid));
        }
    }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        if (RungeKuttaStart && step.Index < Start)
            return RungeKutta(step);
        if (IsSecondCall(step))
        {
            var start = step.History[0];
            return Move(step, start.Sample, start.Prediction, [(0.5, step.Current), (0.5, start.Prediction)]);
        }

        if (step.From == step.To)
            return step.Sample.clone();

        var answers = new List<ModelPrediction> { step.Current };
        for (var i = 0; i < step.History.Count && answers.Count < 4; i++)
        {
            if (IsOnGrid(step.Grid, step.Index - 1 - i))
                answers.Add(step.History[i].Prediction);
        }

        double[] weights = answers.Count switch
        {
            1 => [1.0],
            2 => [3.0 / 2.0, -1.0 / 2.0],
            3 => [23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            _ => [55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        };
        return Move(step, step.Sample, step.Current, [.. weights.Zip(answers)]);
    }

    /// <summary>Computes one of the four stages of a Runge-Kutta step, which all start from the first sample.</summary>
    private Tensor RungeKutta(SolverStep step)
    {
        var call = step.Index % 4;
        if (call == 0)
            return Move(step, step.Sample, step.Current, [(1.0, step.Current)]);
        var start = step.History[call - 1];
        return call < 3
            ? Move(step, start.Sample, start.Prediction, [(1.0, step.Current)])
            : Move(
                step,
                start.Sample,
                start.Prediction,
                [
                    (1.0 / 6.0, step.Current),
                    (1.0 / 3.0, step.History[0].Prediction),
                    (1.0 / 3.0, step.History[1].Prediction),
                    (1.0 / 6.0, start.Prediction),
                ]);
    }

    /// <summary>
    /// Returns whether a step is the second call at the end of the first step, with which the trapezoidal rule improves this point.
    /// </summary>
    private static bool IsSecondCall(SolverStep step) => step.Index == 1 && step.History.Count == 1 && step.From == step.To;

    /// <summary>Returns whether a step is one of the evenly spaced steps, whose predictions the formulas use.</summary>
    private bool IsOnGrid(TimeGrid grid, int index)
        => RungeKuttaStart && index < Start ? index % 4 == 0 : grid.Levels[index] != grid.Levels[index + 1];

    /// <summary>
    /// Computes a DDIM step with the weighted sum of several predictions: x' = alpha' x_0 + sigma' eps, where x_0 and eps are derived from
    /// the sum at the level of the start of the step.
    /// </summary>
    private Tensor Move(SolverStep step, Tensor x, ModelPrediction start, ReadOnlySpan<(double Weight, ModelPrediction Answer)> answers)
    {
        var (from, to) = (start.Level, step.To);
        var (unit, scale) = Normalised(from);
        var (data, noise) = (_quantity.ToX0(unit, unit), _quantity.ToEpsilon(unit, unit));
        var ofSample = ((to.Alpha * data.First) + (to.Sigma * noise.First)) / scale;
        var ofSum = (to.Alpha * data.Second) + (to.Sigma * noise.Second);

        // Without signal, eps does not determine x_0. Both are then read from the predictions.
        var isSingular = !double.IsFinite(ofSample + ofSum);
        var terms = new List<(double, Tensor)>();
        if (!isSingular)
            terms.Add((ofSample, x));
        foreach (var (weight, answer) in answers)
        {
            var level = Normalised(answer.Level).Unit;
            var target = isSingular ? new LinearPair(to.Alpha, to.Sigma) : _quantity.Target(level, level);
            var factor = isSingular ? weight : ofSum * weight;
            if (target.First != 0.0)
                terms.Add((factor * target.First, answer.X0));
            if (target.Second != 0.0)
                terms.Add((factor * target.Second, answer.Epsilon));
        }

        return LinearCombination.Of(terms.ToArray());
    }

    /// <summary>
    /// Returns the level scaled to alpha^2 + sigma^2 = 1, and the scale. Quantities such as v depend on the scale, but steps must not.
    /// </summary>
    private static (NoiseLevel Unit, double Scale) Normalised(NoiseLevel level)
    {
        var scale = Math.Sqrt((level.Alpha * level.Alpha) + (level.Sigma * level.Sigma));
        return (new NoiseLevel(level.Alpha / scale, level.Sigma / scale), scale);
    }
}
