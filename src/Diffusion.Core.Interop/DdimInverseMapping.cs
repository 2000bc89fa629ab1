using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>DDIM from data to noise. Each step goes up by T div N indices to the time the network is told.</summary>
internal sealed class DdimInverseMapping : ISchedulerMapping
{
    public string ClassName => "DDIMInverseScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var schedule = TrainedSchedule.Of(config);
        var first = config.Flag("set_alpha_to_one", true) ? NoiseLevel.Clean : schedule.LevelAt(0);
        var times = DdpmMapping.IndexGrid(config, call, schedule).Times.ToArray();
        Array.Reverse(times);
        var stride = schedule.Steps / times.Length;
        var targets = Array.ConvertAll(times, schedule.LevelAt);
        NoiseLevel[] levels = [.. times.Select(time => time < stride ? first : schedule.LevelAt(time - stride)), targets[^1]];
        var grid = new TimeGrid(schedule, times, levels);
        return new(new DiffusionSampler(
            grid, TargetedSolver.Over(grid, new DdimSolver(), targets), MappedOptions.Of(config, clips: true, rederiveNoise: false)));
    }
}
