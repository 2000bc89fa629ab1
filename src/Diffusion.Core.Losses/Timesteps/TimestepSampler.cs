using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>A sampler of the times at which a batch is trained.</summary>
public interface ITimestepSampler
{
    /// <summary>Draws one time for each sample of a batch.</summary>
    /// <param name="schedule">The schedule whose times are drawn.</param>
    /// <param name="count">B, at least 1.</param>
    /// <param name="generator">The generator of all random numbers, on the CPU.</param>
    /// <returns>
    /// [B] times on the CPU: int64 indices 0..T-1 for a discrete schedule, float64 for a continuous one. The caller must dispose the
    /// returned tensor.
    /// </returns>
    Tensor Sample(INoiseSchedule schedule, long count, Generator generator);
}

/// <summary>A sampler of uniformly distributed times (Ho et al. 2020, algorithm 1).</summary>
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
    /// <summary>Creates a sampler of times with any distribution.</summary>
    /// <param name="distribution">The distribution of the times. The default is <see cref="TimeDistribution.Uniform"/>.</param>
    /// <param name="draws">
    /// The method for drawing a batch. The default is <see cref="UnitDraws.LowDiscrepancy"/>, which reduces the variance of the mean
    /// over a batch.
    /// </param>
    public static ITimestepSampler FromDistribution(TimeDistribution? distribution = null, UnitDraws? draws = null)
        => new DistributedTimesteps(distribution ?? TimeDistribution.Uniform, draws ?? UnitDraws.LowDiscrepancy);
}

/// <summary>A sampler that applies the quantile function of a distribution to uniform draws.</summary>
internal sealed class DistributedTimesteps(TimeDistribution distribution, UnitDraws draws) : ITimestepSampler
{
    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException">
    /// <paramref name="count"/> is less than 1 or greater than <see cref="int.MaxValue"/>.
    /// </exception>
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
