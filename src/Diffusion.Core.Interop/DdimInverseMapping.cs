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
        var grid = DdpmMapping.IndexGrid(config, call, schedule).WithFinalLevel(first).Inverted(tellTarget: true);
        return new(new DiffusionSampler(grid, new DdimSolver(), MappedOptions.Of(config, clips: true, rederiveNoise: false)));
    }
}
