using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The times that a sampler visits, the noise level at each time, and the final level. Step k goes from level k to level k + 1, and the
/// last step goes to the final level. A grid is immutable.
/// </summary>
public sealed class TimeGrid
{
    // The tolerance for published tables of levels, which are rounded to four or five digits and start at the end of a schedule.
    private const double RatioRounding = 1e-4;

    private readonly double[] _times;
    private readonly NoiseLevel[] _levels;

    /// <summary>
    /// Initializes a new instance of the <see cref="TimeGrid"/> class with custom times of a schedule, from the noisiest to the cleanest.
    /// </summary>
    /// <param name="schedule">The source of alpha and sigma at each time.</param>
    /// <param name="times">At least one time of the schedule, in non-increasing order; duplicates are allowed.</param>
    /// <param name="finalLevel">
    /// The level at the end of the last step. The default is <see cref="NoiseLevel.Clean"/>, without noise.
    /// </param>
    /// <exception cref="ArgumentException">
    /// There are no times, a time increases or is outside the schedule, or a level is not finite.
    /// </exception>
    public TimeGrid(INoiseSchedule schedule, ReadOnlySpan<double> times, NoiseLevel? finalLevel = null)
    {
        Schedule = schedule ?? throw new ArgumentNullException(nameof(schedule));
        _times = CheckedTimes(schedule, times);
        _levels = new NoiseLevel[times.Length + 1];
        for (var k = 0; k < _times.Length; k++)
        {
            if (k > 0 && _times[k] > _times[k - 1])
                throw new ArgumentException(
                    Invariant($"Times must not increase, got {_times[k]} after {_times[k - 1]} at step {k}."), nameof(times));
            _levels[k] = CheckedLevel(schedule.LevelAt(_times[k]), k, nameof(schedule));
        }

        _levels[^1] = CheckedLevel(finalLevel ?? NoiseLevel.Clean, _times.Length, nameof(finalLevel));
    }

    /// <summary>
    /// Initializes a new instance of the <see cref="TimeGrid"/> class with custom levels, which may differ from the levels of the schedule
    /// at the times, and may increase. Examples are noise levels for which the network receives the nearest timestep of its training, and a
    /// trajectory from data to noise.
    /// </summary>
    /// <param name="schedule">The schedule that the network was trained with.</param>
    /// <param name="times">
    /// [N] at least one time of the schedule, in any order. The times determine the timesteps passed to the network.
    /// </param>
    /// <param name="levels">[N + 1] the level at the start of each step, then the final level.</param>
    /// <exception cref="ArgumentException">
    /// There are no times, a time is outside the schedule, the number of levels is not N + 1, or a level is not finite.
    /// </exception>
    public TimeGrid(INoiseSchedule schedule, ReadOnlySpan<double> times, ReadOnlySpan<NoiseLevel> levels)
    {
        Schedule = schedule ?? throw new ArgumentNullException(nameof(schedule));
        _times = CheckedTimes(schedule, times);
        if (levels.Length != times.Length + 1)
            throw new ArgumentException(
                Invariant($"A grid of {times.Length} times has {times.Length + 1} levels, including the final level, got {levels.Length}."),
                nameof(levels));
        _levels = levels.ToArray();
        for (var k = 0; k < _levels.Length; k++)
            CheckedLevel(_levels[k], k, nameof(levels));
    }

    /// <summary>Creates a grid with custom noise levels. Its times are those at which the schedule has these levels.</summary>
    /// <param name="schedule">The source of the time, alpha and sigma of each level.</param>
    /// <param name="ratios">[N] sigma / alpha, finite, in non-increasing order: k-diffusion's sigmas without the final zero.</param>
    /// <param name="finalLevel">
    /// The level at the end of the last step. The default is <see cref="NoiseLevel.Clean"/>, without noise.
    /// </param>
    /// <exception cref="ArgumentException">There are no ratios, or a ratio increases or is outside the schedule.</exception>
    public static TimeGrid FromSigmas(INoiseSchedule schedule, ReadOnlySpan<double> ratios, NoiseLevel? finalLevel = null)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        var (least, most) = (schedule.LevelAt(schedule.MinTime).NoiseToSignalRatio, schedule.LevelAt(schedule.MaxTime).NoiseToSignalRatio);
        var times = new double[ratios.Length];
        for (var k = 0; k < times.Length; k++)
        {
            // A ratio that is outside the schedule because of rounding only is replaced by the end of the schedule.
            if (!(ratios[k] >= least * (1.0 - RatioRounding) && ratios[k] <= most * (1.0 + RatioRounding)))
                throw new ArgumentException(
                    Invariant($"Every sigma / alpha must lie in [{least}, {most}], the range of the schedule, got {ratios[k]} at ")
                    + Invariant($"step {k}."),
                    nameof(ratios));
            var ratio = Math.Clamp(ratios[k], least, most);
            times[k] = ratio == least ? schedule.MinTime : ratio == most ? schedule.MaxTime : schedule.TimeOf(-2.0 * Math.Log(ratio));
        }

        return new TimeGrid(schedule, times, finalLevel);
    }

    /// <summary>The schedule that the times belong to.</summary>
    public INoiseSchedule Schedule { get; }

    /// <summary>N, the number of steps.</summary>
    public int Count => _times.Length;

    /// <summary>[N] the times of the schedule, which determine the timesteps passed to the network.</summary>
    public ReadOnlySpan<double> Times => _times;

    /// <summary>[N + 1] the level at the start of each step, then the final level.</summary>
    public ReadOnlySpan<NoiseLevel> Levels => _levels;

    /// <summary>Returns the same grid with another final level.</summary>
    /// <exception cref="ArgumentException">The level is not finite.</exception>
    public TimeGrid WithFinalLevel(NoiseLevel finalLevel)
    {
        var levels = (NoiseLevel[])_levels.Clone();
        levels[^1] = finalLevel;
        return new TimeGrid(Schedule, _times, levels);
    }

    /// <summary>
    /// Returns the last part of the grid, for image-to-image. Sampling then starts from data noised to the first level of this part.
    /// </summary>
    /// <param name="strength">The fraction of the steps in the part, in (0, 1]. The part has at least one step.</param>
    /// <exception cref="ArgumentOutOfRangeException">The strength is outside (0, 1].</exception>
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
                    Invariant($"Every time must lie in [{schedule.MinTime}, {schedule.MaxTime}], got {times[k]} at step {k}."),
                    nameof(times));
        }

        return times.ToArray();
    }

    private static NoiseLevel CheckedLevel(NoiseLevel level, int index, string name)
        => double.IsFinite(level.Alpha) && double.IsFinite(level.Sigma) && level.Alpha >= 0.0 && level.Sigma >= 0.0
            && level.Alpha + level.Sigma > 0.0
            ? level
            : throw new ArgumentException(
                Invariant($"alpha and sigma must be finite, not negative and not both zero, got {level.Alpha} and {level.Sigma} ")
                + Invariant($"at index {index}."),
                name);
}

/// <summary>
/// Methods that derive a grid from another: with intermediate points, in reverse, or with the first steps that some solvers need.
/// </summary>
public static class TimeGridExtensions
{
    private const double IndexRounding = 1e-6;

    /// <summary>
    /// Returns the grid with additional points at fractions of each step in lambda = log(alpha / sigma), at which singlestep methods call
    /// the network. With 1/2, the method of order 2 is DPM-Solver-2; with 1/3 and 2/3, the method of order 3 is DPM-Solver-3 (Lu et al.
    /// 2022, Algorithms 1 and 2). A last step to clean data is not divided, because lambda is infinite there.
    /// </summary>
    /// <param name="grid">A grid that starts at a level with signal.</param>
    /// <param name="fractions">Increasing values in (0, 1).</param>
    /// <exception cref="ArgumentException">
    /// The fractions do not increase in (0, 1), the grid starts without signal, or its schedule does not reach an intermediate point.
    /// </exception>
    public static TimeGrid Refined(this TimeGrid grid, params ReadOnlySpan<double> fractions)
    {
        ArgumentNullException.ThrowIfNull(grid);
        for (var i = 0; i < fractions.Length; i++)
        {
            if (!(fractions[i] > (i == 0 ? 0.0 : fractions[i - 1]) && fractions[i] < 1.0))
                throw new ArgumentException(
                    Invariant($"Fractions must increase within (0, 1), got {fractions[i]} at index {i}."), nameof(fractions));
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
                    Invariant($"Intermediate points need a finite log-SNR at both ends of a step, got {from.LogSnr} and ")
                    + Invariant($"{to.LogSnr} at step {k}."),
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
    /// Returns the reversed grid, from data to noise, for inversion: the same levels in the opposite order, each with its time in the grid.
    /// A final level outside the schedule, such as clean data, has the nearest time of the schedule.
    /// </summary>
    /// <param name="grid">A grid from noise to data.</param>
    public static TimeGrid Inverted(this TimeGrid grid)
    {
        var (times, levels) = Reversed(grid);
        var schedule = grid.Schedule;
        var (least, most) = (schedule.LogSnr(schedule.MinTime), schedule.LogSnr(schedule.MaxTime));
        var first = schedule.MinTime;
        if (levels[0].LogSnr < least)
            first = levels[0].LogSnr > most ? schedule.TimeOf(levels[0].LogSnr) : schedule.MaxTime;
        if (schedule is DiscreteSchedule && Math.Abs(first - Math.Round(first)) < IndexRounding)
            first = Math.Round(first);
        return new TimeGrid(schedule, [first, .. times[..^1]], levels);
    }

    /// <summary>
    /// Returns the reversed grid as <see cref="Inverted"/> does, except that the network receives the time at the end of each step instead
    /// of the time at its start, as in the DDIM inversion of diffusers.
    /// </summary>
    /// <param name="grid">A grid from noise to data.</param>
    public static TimeGrid InvertedAtTargets(this TimeGrid grid)
    {
        var (times, levels) = Reversed(grid);
        return new TimeGrid(grid.Schedule, times, levels);
    }

    private static (double[] Times, NoiseLevel[] Levels) Reversed(TimeGrid grid)
    {
        ArgumentNullException.ThrowIfNull(grid);
        var (times, levels) = (grid.Times.ToArray(), grid.Levels.ToArray());
        Array.Reverse(times);
        Array.Reverse(levels);
        return (times, levels);
    }

    /// <summary>
    /// Returns the grid with its second point repeated. The network is called twice at this point, to improve the first step of PLMS.
    /// </summary>
    /// <remarks>Source: Liu et al. 2022, Algorithm 2, as used in latent diffusion (Rombach et al. 2022).</remarks>
    /// <param name="grid">The grid. It is returned unchanged if it has fewer than two steps.</param>
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
    /// Returns the grid with each of its first three steps replaced by four, for the network calls of the Runge-Kutta method: at the start,
    /// twice in the middle, and at the end. On a discrete schedule the middle is rounded down to an index.
    /// </summary>
    /// <remarks>Source: Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds", eq. 12 and Algorithm 2.</remarks>
    /// <param name="grid">A grid of at least four steps.</param>
    /// <exception cref="ArgumentException">The grid has fewer than four steps.</exception>
    public static TimeGrid WithRungeKuttaStart(this TimeGrid grid)
    {
        ArgumentNullException.ThrowIfNull(grid);
        if (grid.Count < 4)
            throw new ArgumentException($"A Runge-Kutta start needs a grid of at least four steps, got {grid.Count}.", nameof(grid));
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
