using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>q(x_t | x_0) of any schedule: <c>x_t = alpha_t x_0 + sigma_t eps</c>, with one t for each sample of a batch.</summary>
/// <remarks>Source: Ho et al. 2020, eq. 4, in the notation of Kingma et al. 2021.</remarks>
public class ForwardProcess
{
    private readonly ScheduledPair _marginal;

    /// <summary>The forward process of a schedule.</summary>
    public ForwardProcess(INoiseSchedule schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        Schedule = schedule;
        _marginal = new ScheduledPair(schedule, (level, _) => new LinearPair(level.Alpha, level.Sigma));
    }

    /// <summary>The schedule.</summary>
    public INoiseSchedule Schedule { get; }

    /// <summary>A draw from q(x_t | x_0), eq. 4.</summary>
    /// <param name="x0">[B, ...] data.</param>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete one.</param>
    /// <param name="noise">The shape of <paramref name="x0"/>, drawn from N(0, I).</param>
    /// <returns>x_t, the shape of <paramref name="x0"/>; the caller's.</returns>
    /// <exception cref="ArgumentException">The shapes do not fit each other.</exception>
    public Tensor Sample(Tensor x0, Tensor t, Tensor noise) => _marginal.Apply(t, x0, noise);
}
