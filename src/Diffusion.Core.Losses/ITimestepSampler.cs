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
