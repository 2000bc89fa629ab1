using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The times a sampler visits and the noise level at each, and the level it ends at. Immutable. The target of step k is level k + 1,
/// and of the last step the final level: nothing else decides where a step goes.
/// </summary>
public sealed class TimeGrid
{
    // Published tables of levels have four or five digits, and start at the end of a schedule.
    private const double RatioRounding = 1e-4;

    private readonly double[] _times;
    private readonly NoiseLevel[] _levels;

    /// <summary>The grid of a schedule at times of one's own, from the noisiest to the cleanest.</summary>
    /// <param name="schedule">Gives alpha and sigma at each time.</param>
    /// <param name="times">At least one time of the schedule, never increasing; duplicates are allowed.</param>
    /// <param name="finalLevel">Where the last step leads; no noise at all unless said otherwise.</param>
    /// <exception cref="ArgumentException">
    /// No times, an increasing time, one outside the schedule, or a level that is not finite.
    /// </exception>
    public TimeGrid(INoiseSchedule schedule, ReadOnlySpan<double> times, NoiseLevel? finalLevel = null)
    {
        Schedule = schedule ?? throw new ArgumentNullException(nameof(schedule));
        _times = CheckedTimes(schedule, times);
        _levels = new NoiseLevel[times.Length + 1];
        for (var k = 0; k < _times.Length; k++)
        {
            if (k > 0 && _times[k] > _times[k - 1])
                throw new ArgumentException($"Times must not increase, got {_times[k]} after {_times[k - 1]} at step {k}.", nameof(times));
            _levels[k] = CheckedLevel(schedule.LevelAt(_times[k]), k, nameof(schedule));
        }

        _levels[^1] = CheckedLevel(finalLevel ?? NoiseLevel.Clean, _times.Length, nameof(finalLevel));
    }

    /// <summary>
    /// A grid whose levels do not follow from its times, or do not fall: noise levels chosen first and given to the network as the
    /// nearest time it knows, or a walk from data to noise.
    /// </summary>
    /// <param name="schedule">The schedule the network was trained with.</param>
    /// <param name="times">[N] at least one time of the schedule, in any order: what the network is told.</param>
    /// <param name="levels">[N + 1] the level at the start of each step, then the final level.</param>
    /// <exception cref="ArgumentException">
    /// No times, one outside the schedule, another number of levels than N + 1, or a level that is not finite.
    /// </exception>
    public TimeGrid(INoiseSchedule schedule, ReadOnlySpan<double> times, ReadOnlySpan<NoiseLevel> levels)
    {
        Schedule = schedule ?? throw new ArgumentNullException(nameof(schedule));
        _times = CheckedTimes(schedule, times);
        if (levels.Length != times.Length + 1)
            throw new ArgumentException(
                $"A grid of {times.Length} times has {times.Length + 1} levels, the last one final, got {levels.Length}.", nameof(levels));
        _levels = levels.ToArray();
        for (var k = 0; k < _levels.Length; k++)
            CheckedLevel(_levels[k], k, nameof(levels));
    }

    /// <summary>The grid of a schedule at noise levels of one's own; the network is told the times the schedule has them at.</summary>
    /// <param name="schedule">Gives the time, alpha and sigma of each level.</param>
    /// <param name="ratios">[N] sigma / alpha, finite, never increasing; k-diffusion's sigmas without the zero at the end.</param>
    /// <param name="finalLevel">Where the last step leads; no noise at all unless said otherwise.</param>
    /// <exception cref="ArgumentException">No ratios, an increasing one, or one that the schedule does not reach.</exception>
    public static TimeGrid FromSigmas(INoiseSchedule schedule, ReadOnlySpan<double> ratios, NoiseLevel? finalLevel = null)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        var (least, most) = (schedule.LevelAt(schedule.MinTime).Ratio, schedule.LevelAt(schedule.MaxTime).Ratio);
        var times = new double[ratios.Length];
        for (var k = 0; k < times.Length; k++)
        {
            // The ends of the schedule are meant where rounding has moved a ratio just past them.
            if (!(ratios[k] >= least * (1.0 - RatioRounding) && ratios[k] <= most * (1.0 + RatioRounding)))
                throw new ArgumentException(
                    $"Every sigma / alpha must lie in [{least}, {most}], the range of the schedule, got {ratios[k]} at step {k}.",
                    nameof(ratios));
            var ratio = Math.Clamp(ratios[k], least, most);
            times[k] = ratio == least ? schedule.MinTime : ratio == most ? schedule.MaxTime : schedule.TimeOf(-2.0 * Math.Log(ratio));
        }

        return new TimeGrid(schedule, times, finalLevel);
    }

    /// <summary>The schedule the times belong to.</summary>
    public INoiseSchedule Schedule { get; }

    /// <summary>N, the number of steps.</summary>
    public int Count => _times.Length;

    /// <summary>[N] the times that the network is told.</summary>
    public ReadOnlySpan<double> Times => _times;

    /// <summary>[N + 1] the level at the start of each step, then the final level.</summary>
    public ReadOnlySpan<NoiseLevel> Levels => _levels;

    /// <summary>The same steps, the last of which leads elsewhere.</summary>
    /// <exception cref="ArgumentException">The level is not finite.</exception>
    public TimeGrid WithFinalLevel(NoiseLevel finalLevel)
    {
        var levels = (NoiseLevel[])_levels.Clone();
        levels[^1] = finalLevel;
        return new TimeGrid(Schedule, _times, levels);
    }

    /// <summary>
    /// The part of the grid that remains from a strength on: image to image begins there, with data noised to its first level.
    /// </summary>
    /// <param name="strength">In (0, 1]: the share of the steps that is taken, 1 for all; at least one step is.</param>
    /// <exception cref="ArgumentOutOfRangeException">The strength lies outside (0, 1].</exception>
    public TimeGrid StartingAt(double strength)
    {
        Guard.InRange(Guard.Positive(strength), 0.0, 1.0);
        var first = Count - Math.Max((int)Math.Floor((Count * strength) + 1e-9), 1);
        return new TimeGrid(Schedule, _times.AsSpan(first), _levels.AsSpan(first));
    }

    private static double[] CheckedTimes(INoiseSchedule schedule, ReadOnlySpan<double> times)
    {
        if (times.IsEmpty)
            throw new ArgumentException("A time grid needs at least one time, got none.", nameof(times));
        for (var k = 0; k < times.Length; k++)
        {
            if (!(times[k] >= schedule.MinTime && times[k] <= schedule.MaxTime))
                throw new ArgumentException(
                    $"Every time must lie in [{schedule.MinTime}, {schedule.MaxTime}], got {times[k]} at step {k}.", nameof(times));
        }

        return times.ToArray();
    }

    private static NoiseLevel CheckedLevel(NoiseLevel level, int index, string name)
        => double.IsFinite(level.Alpha) && double.IsFinite(level.Sigma) && level.Alpha >= 0.0 && level.Sigma >= 0.0
            && level.Alpha + level.Sigma > 0.0
            ? level
            : throw new ArgumentException(
                $"alpha and sigma must be finite, not negative and not both zero, got {level.Alpha} and {level.Sigma} at index {index}.", name);
}

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
