using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// PNDM and iPNDM: the Adams-Bashforth formulas for equal steps, up to fourth order, over the last predictions, and a DDIM step with the
/// result. Linear multistep, PLMS, needs one network call per step, and one of three starts: none (Euler, as in iPNDM), a second call at
/// the end of the first step (PLMS of latent diffusion; a grid from <see cref="TimeGridExtensions.WithTrapezoidStart"/>), or three
/// Runge-Kutta steps (PRK; a grid from <see cref="TimeGridExtensions.WithRungeKuttaStart"/>).
/// </summary>
/// <remarks>
/// Source: Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds", eq. 9, 11, 12, 13 and Algorithm 2; Zhang and Chen
/// 2023, appendix H, for iPNDM. The last step has the order of the others, so that a step to clean data returns an extrapolated x_0 instead
/// of the last one.
/// </remarks>
public sealed class PndmSolver : ISolver
{
    private const int Start = 12;
    private readonly Prediction _quantity;

    /// <summary>A PNDM solver.</summary>
    /// <param name="quantity">
    /// The quantity that is extrapolated. The default is eps. diffusers extrapolates v if the network predicts it.
    /// </param>
    public PndmSolver(Prediction? quantity = null) => _quantity = quantity ?? Prediction.Epsilon;

    /// <summary>True if the first twelve steps are three Runge-Kutta steps.</summary>
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
                    $"A start by Runge and Kutta needs a grid of {nameof(TimeGridExtensions.WithRungeKuttaStart)}, whose first "
                    + $"twelve steps alternate, got {grid.Count} steps without.",
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

    /// <summary>One of the four calls of a Runge-Kutta step, all of which start from the first sample.</summary>
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

    /// <summary>True for the second call of the first step, with which the trapezoidal rule improves the end of that step.</summary>
    private static bool IsSecondCall(SolverStep step) => step.Index == 1 && step.History.Count == 1 && step.From == step.To;

    /// <summary>True if a step is one of the evenly spaced ones, whose predictions the formulas use.</summary>
    private bool IsOnGrid(TimeGrid grid, int index)
        => RungeKuttaStart && index < Start ? index % 4 == 0 : grid.Levels[index] != grid.Levels[index + 1];

    /// <summary>
    /// A DDIM step with the weighted sum of several predictions: x' = alpha' x_0 + sigma' eps, where both are derived from the sum at the
    /// level at which the step starts.
    /// </summary>
    private Tensor Move(SolverStep step, Tensor x, ModelPrediction start, ReadOnlySpan<(double Weight, ModelPrediction Answer)> answers)
    {
        var (from, to) = (start.Level, step.To);
        var (unit, scale) = Normalised(from);
        var (data, noise) = (_quantity.ToX0(unit, unit), _quantity.ToEpsilon(unit, unit));
        var ofSample = ((to.Alpha * data.First) + (to.Sigma * noise.First)) / scale;
        var ofSum = (to.Alpha * data.Second) + (to.Sigma * noise.Second);

        // Without signal eps does not determine x_0, and both are taken from the predictions.
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
    /// The level of the variance-preserving process, and the scale. Quantities such as v depend on the scale, but steps must not.
    /// </summary>
    private static (NoiseLevel Unit, double Scale) Normalised(NoiseLevel level)
    {
        var scale = Math.Sqrt((level.Alpha * level.Alpha) + (level.Sigma * level.Sigma));
        return (new NoiseLevel(level.Alpha / scale, level.Sigma / scale), scale);
    }
}
