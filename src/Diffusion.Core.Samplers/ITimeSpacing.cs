using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>How a sampler spreads its steps over a schedule.</summary>
public interface ITimeSpacing
{
    /// <summary>A grid of exactly <paramref name="steps"/> times.</summary>
    /// <exception cref="ArgumentException">The schedule does not have that many steps, or the spacing does not fit it.</exception>
    TimeGrid CreateGrid(INoiseSchedule schedule, int steps);
}
