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
    public static TimeGrid FromRatios(INoiseSchedule schedule, ReadOnlySpan<double> ratios, NoiseLevel? finalLevel = null)
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
