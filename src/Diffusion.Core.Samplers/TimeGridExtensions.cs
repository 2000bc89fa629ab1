using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>Grids made of others: with points between, backwards, or with the to and fro that some methods start with.</summary>
public static class TimeGridExtensions
{
    private const double IndexRounding = 1e-6;

    /// <summary>
    /// The grid with further points at fractions of each step in lambda = log(alpha / sigma), so that singlestep methods evaluate there:
    /// with 1/2, order 2 is DPM-Solver-2; with 1/3 and 2/3, order 3 is DPM-Solver-3 (Lu et al. 2022, Algorithms 1 and 2). A last step to
    /// data without noise stays whole, for lambda has no end there.
    /// </summary>
    /// <param name="grid">A grid that starts with signal.</param>
    /// <param name="fractions">Rising, in (0, 1).</param>
    /// <exception cref="ArgumentException">
    /// The fractions are not such, the grid starts without signal, or its schedule does not reach a point between.
    /// </exception>
    public static TimeGrid Refined(this TimeGrid grid, params ReadOnlySpan<double> fractions)
    {
        ArgumentNullException.ThrowIfNull(grid);
        for (var i = 0; i < fractions.Length; i++)
        {
            if (!(fractions[i] > (i == 0 ? 0.0 : fractions[i - 1]) && fractions[i] < 1.0))
                throw new ArgumentException($"Fractions must rise within (0, 1), got {fractions[i]} at index {i}.", nameof(fractions));
        }

        var (times, levels) = (new List<double>(), new List<NoiseLevel>());
        for (var k = 0; k < grid.Count; k++)
        {
            times.Add(grid.Times[k]);
            levels.Add(grid.Levels[k]);
            var (from, to) = (grid.Levels[k], grid.Levels[k + 1]);
            if (k == grid.Count - 1 && to.Sigma == 0.0)
                break;
            if (!double.IsFinite(from.Lambda) || !double.IsFinite(to.Lambda))
                throw new ArgumentException(
                    $"Points between need a finite log-SNR on both sides, got {from.LogSnr} and {to.LogSnr} around step {k}.",
                    nameof(grid));
            foreach (var fraction in fractions)
            {
                var time = grid.Schedule.TimeOf(2.0 * (from.Lambda + (fraction * (to.Lambda - from.Lambda))));
                times.Add(time);
                levels.Add(grid.Schedule.LevelAt(time));
            }
        }

        levels.Add(grid.Levels[^1]);
        return new TimeGrid(grid.Schedule, times.ToArray(), levels.ToArray());
    }

    /// <summary>
    /// The way back, from data to noise, for inversion: the same levels in the opposite order, and at each the network is told its own
    /// time. At a final level that is none of the schedule's, such as data without noise, that is the schedule's first.
    /// </summary>
    /// <param name="grid">A grid from noise to data.</param>
    /// <param name="tellTarget">
    /// True to tell the network the time a step leads to, in place of that where it starts: DDIM inversion as diffusers has it.
    /// </param>
    public static TimeGrid Inverted(this TimeGrid grid, bool tellTarget = false)
    {
        ArgumentNullException.ThrowIfNull(grid);
        var levels = grid.Levels.ToArray();
        var times = grid.Times.ToArray();
        Array.Reverse(levels);
        Array.Reverse(times);
        if (tellTarget)
            return new TimeGrid(grid.Schedule, times, levels);
        var schedule = grid.Schedule;
        var (least, most) = (schedule.LogSnr(schedule.MinTime), schedule.LogSnr(schedule.MaxTime));
        var first = schedule.MinTime;
        if (levels[0].LogSnr < least)
            first = levels[0].LogSnr > most ? schedule.TimeOf(levels[0].LogSnr) : schedule.MaxTime;
        if (schedule is DiscreteSchedule && Math.Abs(first - Math.Round(first)) < IndexRounding)
            first = Math.Round(first);
        return new TimeGrid(schedule, [first, .. times[..^1]], levels);
    }

    /// <summary>The grid with its second point twice: the network is called there again, to improve the first step of PLMS.</summary>
    /// <remarks>Source: Liu et al. 2022, Algorithm 2, as used in latent diffusion (Rombach et al. 2022).</remarks>
    /// <param name="grid">A grid of at least two steps, otherwise it stays as it is.</param>
    public static TimeGrid WithTrapezoidStart(this TimeGrid grid)
    {
        ArgumentNullException.ThrowIfNull(grid);
        if (grid.Count < 2)
            return grid;
        return new TimeGrid(
            grid.Schedule,
            [grid.Times[0], grid.Times[1], .. grid.Times[1..]],
            [grid.Levels[0], grid.Levels[1], .. grid.Levels[1..]]);
    }

    /// <summary>
    /// The grid with its first three steps made of four each, as Runge and Kutta's method calls the network: at the start, twice in the
    /// middle, and at the end. On a discrete schedule the middle is an index.
    /// </summary>
    /// <remarks>Source: Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds", eq. 12 and Algorithm 2.</remarks>
    /// <param name="grid">A grid of at least four steps.</param>
    /// <exception cref="ArgumentException">There are fewer.</exception>
    public static TimeGrid WithRungeKuttaStart(this TimeGrid grid)
    {
        ArgumentNullException.ThrowIfNull(grid);
        if (grid.Count < 4)
            throw new ArgumentException($"A start by Runge and Kutta takes three steps of at least four, got {grid.Count}.", nameof(grid));
        var (times, levels) = (new List<double>(), new List<NoiseLevel>());
        for (var k = 0; k < 3; k++)
        {
            var middle = grid.Times[k + 1] + ((grid.Times[k] - grid.Times[k + 1]) / 2.0);
            if (grid.Schedule is DiscreteSchedule)
                middle = Math.Floor(middle);
            var between = grid.Schedule.LevelAt(middle);
            times.AddRange([grid.Times[k], middle, middle, grid.Times[k + 1]]);
            levels.AddRange([grid.Levels[k], between, between, grid.Levels[k + 1]]);
        }

        return new TimeGrid(
            grid.Schedule, [.. times, .. grid.Times[3..]], [.. levels, .. grid.Levels[3..]]);
    }
}
