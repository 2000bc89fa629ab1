using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Inpainting without training: after each step the known part of the image is replaced with the given image, noised to the new level. On a
/// grid from <see cref="Resampled"/> the trajectory also returns to higher noise levels, so that the two parts become consistent.
/// </summary>
/// <remarks>
/// All draws are independent, as in the algorithm. This also applies to a <see cref="BrownianTreeNoise"/>, whose increments over an
/// interval would be the same for both parts and in every repetition.
/// Source: Lugmayr et al. 2022, "RePaint: Inpainting using Denoising Diffusion Probabilistic Models", Algorithm 1.
/// </remarks>
public sealed class RePaintSolver : ISolver
{
    private readonly ISolver _solver;
    private readonly Tensor _known;
    private readonly Tensor _mask;

    /// <summary>Initializes a new instance of the <see cref="RePaintSolver"/> class with a one-step method.</summary>
    /// <param name="solver">The method for the unknown part; <see cref="AncestralSolver"/> in the paper.</param>
    /// <param name="known">[B, ...] the image, of which only the known part is read. It is not disposed.</param>
    /// <param name="mask">
    /// The mask, with the shape of <paramref name="known"/>: 1 where the image is known, 0 where it is generated. It is not disposed.
    /// </param>
    /// <exception cref="ArgumentException">The shapes or types differ, or the method is a multistep method.</exception>
    public RePaintSolver(ISolver solver, Tensor known, Tensor mask)
    {
        ArgumentNullException.ThrowIfNull(solver);
        Guard.SameShape(known, mask);
        Guard.SameType(known, mask);
        Guard.Floating(known);
        if (solver.HistoryLength > 0)
            throw new ArgumentException(
                $"Inpainting changes the sample after each step and needs a one-step method, got {solver.GetType().Name}, which uses "
                + "earlier steps.",
                nameof(solver));
        (_solver, _known, _mask) = (solver, known, mask);
    }

    /// <summary>
    /// Creates a grid that repeats each part of another grid: after <paramref name="jump"/> steps it returns to the start of the part,
    /// until the part has been traversed <paramref name="repeats"/> times.
    /// </summary>
    /// <param name="grid">The grid to repeat.</param>
    /// <param name="jump">j, the number of steps of a part. The default is 10, as in the paper.</param>
    /// <param name="repeats">r, the number of times each part is traversed, at least 1. The default is 10, as in the paper.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is less than 1.</exception>
    public static TimeGrid Resampled(TimeGrid grid, int jump = 10, int repeats = 10)
    {
        ArgumentNullException.ThrowIfNull(grid);
        Guard.InRange(jump, 1, int.MaxValue);
        Guard.InRange(repeats, 1, int.MaxValue);
        var (times, levels) = (new List<double>(), new List<NoiseLevel>());
        for (var first = 0; first < grid.Count; first += jump)
        {
            var end = Math.Min(first + jump, grid.Count);
            for (var repeat = 0; repeat < repeats; repeat++)
            {
                if (repeat > 0)
                {
                    // This step returns from the level at the end of the part to the level at its start, with one draw.
                    times.Add(grid.Times[end - 1]);
                    levels.Add(grid.Levels[end]);
                }

                for (var k = first; k < end; k++)
                {
                    times.Add(grid.Times[k]);
                    levels.Add(grid.Levels[k]);
                }
            }
        }

        levels.Add(grid.Levels[grid.Count]);
        return new TimeGrid(grid.Schedule, [.. times], [.. levels]);
    }

    /// <inheritdoc/>
    public void Validate(TimeGrid grid) => _solver.Validate(grid);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The samples do not have the shape of the image.</exception>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        Guard.SameShape(_known, step.Sample, "the known image", "the samples");
        using var scope = NewDisposeScope();
        var (from, to) = (step.From, step.To);
        if (to.NoiseToSignalRatio > from.NoiseToSignalRatio)
        {
            using var rise = step.Noise.Draw(step.Sample);
            return GaussianTransition.Forward(to, from).Apply(step.Sample, rise).MoveToOuterDisposeScope();
        }

        using var anew = step.With(new IndependentNoise(step.Noise));
        using var made = _solver.Step(anew);
        using var noise = to.Sigma == 0.0 ? zeros_like(made) : step.Noise.Draw(step.Sample);
        var known = new LinearPair(to.Alpha, to.Sigma).Apply(_known.to(made.dtype, made.device), noise);
        return made.lerp(known, _mask.to(made.dtype, made.device)).MoveToOuterDisposeScope();
    }
}
