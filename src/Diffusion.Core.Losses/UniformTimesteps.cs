using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

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
