using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

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
