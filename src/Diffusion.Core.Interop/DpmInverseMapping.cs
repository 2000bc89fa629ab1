using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>
/// DPM-Solver from data to noise, told the time that each step leaves from. By time, the points are those of the multistep scheduler one
/// place further towards the data, and the last step leads to the end of the schedule; by level, they are the same points, and the last
/// step stays where it is.
/// </summary>
internal sealed class DpmInverseMapping : ISchedulerMapping
{
    public string ClassName => "DPMSolverMultistepInverseScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => new(new DiffusionSampler(Grid(config, call), DpmFamily.Multistep(config), MappedOptions.Of(config)));

    private static TimeGrid Grid(SchedulerConfig config, SchedulerCall call)
    {
        if (config.Flag("use_flow_sigmas", false))
            throw config.Unknown("use_flow_sigmas", "true");
        var trained = new TrainedGrid(config);
        if (trained.Respaces && call.Count() == 1)
            return new TimeGrid(trained.Schedule, [0.0], [TrainedGrid.Level(trained.LeastRatio), TrainedGrid.Level(trained.LeastRatio)]);
        var falling = trained.Whole(call, last => last);
        var spacing = config.Text("timestep_spacing", "linspace");
        var (times, levels) = (falling.Times.ToArray(), falling.Levels[..^1].ToArray());
        Array.Reverse(times);
        Array.Reverse(levels);
        if (trained.Respaces || spacing == "trailing")
            return new TimeGrid(falling.Schedule, times, [.. levels, levels[^1]]);
        var isLeading = spacing == "leading";
        var first = isLeading ? config.Whole("steps_offset", 0) : 0.0;
        var start = falling.Schedule.LevelAt(first);
        var end = isLeading ? falling.Schedule.LevelAt(trained.NoisiestIndex) : levels[^1];
        return new TimeGrid(falling.Schedule, [first, .. times[..^1]], [start, .. levels[..^1], end]);
    }
}
