using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>Which times a batch is trained at.</summary>
public interface ITimestepSampler
{
    /// <summary>One time for each sample of a batch.</summary>
    /// <param name="schedule">The schedule whose times are drawn.</param>
    /// <param name="count">B, at least 1.</param>
    /// <param name="generator">A generator on the CPU; every draw comes from it.</param>
    /// <returns>[B] on the CPU: int64 indices 0..T-1 for a discrete schedule, float64 times for a continuous one; the caller's.</returns>
    Tensor Sample(INoiseSchedule schedule, long count, Generator generator);
}

/// <summary>Every time is as likely as any other (Ho et al. 2020, algorithm 1).</summary>
public sealed class UniformTimesteps : ITimestepSampler
{
    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is less than 1.</exception>
    public Tensor Sample(INoiseSchedule schedule, long count, Generator generator)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(generator);
        Guard.InRange(count, 1, long.MaxValue);
        var discrete = schedule as DiscreteSchedule;
        var t = discrete is null
            ? rand([count], dtype: ScalarType.Float64, generator: generator)
            : randint(0, discrete.Steps, [count], dtype: ScalarType.Int64, generator: generator);
        GC.KeepAlive(generator);
        return discrete is null ? t.Mul_(schedule.MaxTime - schedule.MinTime).Add_(schedule.MinTime) : t;
    }
}

/// <summary>Times of any distribution, drawn each by itself or together: a quantile function applied to even draws.</summary>
/// <param name="distribution">Of the times; <see cref="TimeDistribution.Uniform"/> unless said otherwise.</param>
/// <param name="draws">
/// How a batch is drawn; <see cref="UnitDraws.LowDiscrepancy"/> unless said otherwise, which makes the mean over a batch less noisy.
/// </param>
public sealed class DistributedTimesteps(ITimeDistribution? distribution = null, IUnitDraws? draws = null) : ITimestepSampler
{
    /// <summary>The distribution of the times.</summary>
    public ITimeDistribution Distribution { get; } = distribution ?? TimeDistribution.Uniform;

    /// <summary>How a batch is drawn.</summary>
    public IUnitDraws Draws { get; } = draws ?? UnitDraws.LowDiscrepancy;

    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is less than 1, or too great.</exception>
    public Tensor Sample(INoiseSchedule schedule, long count, Generator generator)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(generator);
        Guard.InRange(count, 1, int.MaxValue);
        var times = Draws.Draw((int)count, generator);
        for (var i = 0; i < times.Length; i++)
            times[i] = Distribution.Quantile(schedule, times[i]);
        return schedule is DiscreteSchedule
            ? tensor(Array.ConvertAll(times, time => (long)time), dtype: ScalarType.Int64)
            : tensor(times, dtype: ScalarType.Float64);
    }
}
