using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The times a sampler visits, from the noisiest to the cleanest, and the level it ends at. Immutable. The target of step k is the
/// level of time k + 1, and of the last step the final level: nothing else decides where a step goes.
/// </summary>
public sealed class TimeGrid
{
    private readonly double[] _times;
    private readonly NoiseLevel[] _levels;

    /// <summary>A grid of one's own.</summary>
    /// <param name="schedule">Gives alpha and sigma at each time.</param>
    /// <param name="times">At least one time of the schedule, never increasing; duplicates are allowed.</param>
    /// <param name="finalLevel">Where the last step leads; no noise at all unless said otherwise.</param>
    /// <exception cref="ArgumentException">No times, an increasing time, or one outside the schedule.</exception>
    public TimeGrid(INoiseSchedule schedule, ReadOnlySpan<double> times, NoiseLevel? finalLevel = null)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        if (times.IsEmpty)
            throw new ArgumentException("A time grid needs at least one time, got none.", nameof(times));
        _times = times.ToArray();
        _levels = new NoiseLevel[times.Length + 1];
        for (var k = 0; k < _times.Length; k++)
        {
            if (!(_times[k] >= schedule.MinTime && _times[k] <= schedule.MaxTime))
                throw new ArgumentException(
                    $"Every time must lie in [{schedule.MinTime}, {schedule.MaxTime}], got {_times[k]} at step {k}.", nameof(times));
            if (k > 0 && _times[k] > _times[k - 1])
                throw new ArgumentException(
                    $"Times must not increase, got {_times[k]} after {_times[k - 1]} at step {k}.", nameof(times));
            _levels[k] = schedule.LevelAt(_times[k]);
        }

        _levels[^1] = finalLevel ?? NoiseLevel.Clean;
        Schedule = schedule;
    }

    /// <summary>The schedule the times belong to.</summary>
    public INoiseSchedule Schedule { get; }

    /// <summary>N, the number of steps.</summary>
    public int Count => _times.Length;

    /// <summary>[N] the times, never increasing.</summary>
    public ReadOnlySpan<double> Times => _times;

    /// <summary>[N + 1] the level at each time, then the final level.</summary>
    public ReadOnlySpan<NoiseLevel> Levels => _levels;
}
