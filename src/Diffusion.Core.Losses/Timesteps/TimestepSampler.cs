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
    /// <returns>
    /// [B] on the CPU: int64 indices 0..T-1 for a discrete schedule, float64 times for a continuous one. The caller must dispose the
    /// returned tensor.
    /// </returns>
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

/// <summary>The standard samplers of times.</summary>
public static class TimestepSampler
{
    /// <summary>Times of any distribution, drawn independently or together.</summary>
    /// <param name="distribution">Of the times. The default is <see cref="TimeDistribution.Uniform"/>.</param>
    /// <param name="draws">
    /// How a batch is drawn. The default is <see cref="UnitDraws.LowDiscrepancy"/>, which reduces the noise of the mean over a batch.
    /// </param>
    public static ITimestepSampler FromDistribution(TimeDistribution? distribution = null, UnitDraws? draws = null)
        => new DistributedTimesteps(distribution ?? TimeDistribution.Uniform, draws ?? UnitDraws.LowDiscrepancy);
}

/// <summary>A quantile function applied to uniform draws.</summary>
internal sealed class DistributedTimesteps(TimeDistribution distribution, UnitDraws draws) : ITimestepSampler
{
    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is less than 1, or too great.</exception>
    public Tensor Sample(INoiseSchedule schedule, long count, Generator generator)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(generator);
        Guard.InRange(count, 1, int.MaxValue);
        var times = draws.Draw((int)count, generator);
        for (var i = 0; i < times.Length; i++)
            times[i] = distribution.Quantile(schedule, times[i]);
        return schedule is DiscreteSchedule
            ? tensor(Array.ConvertAll(times, time => (long)time), dtype: ScalarType.Int64)
            : tensor(times, dtype: ScalarType.Float64);
    }
}
