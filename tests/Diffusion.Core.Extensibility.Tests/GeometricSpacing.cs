using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom time grid: each time a fixed share of the one before, from a first one down to the least of the schedule.</summary>
internal sealed class GeometricSpacing(double first) : TimeSpacing
{
    public override TimeGrid CreateGrid(INoiseSchedule schedule, int steps)
    {
        var share = Math.Pow(schedule.MinTime / first, 1.0 / steps);
        var times = new double[steps];
        for (var k = 0; k < steps; k++)
            times[k] = first * Math.Pow(share, k);
        return new TimeGrid(schedule, times, schedule.LevelAt(schedule.MinTime));
    }
}
