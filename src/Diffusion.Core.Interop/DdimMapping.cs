using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>DDIM. Each step goes down by T div N indices, wherever the next time of the grid lies.</summary>
internal sealed class DdimMapping : ISchedulerMapping
{
    public string ClassName => "DDIMScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var schedule = TrainedSchedule.Of(config);
        var grid = DdpmMapping.IndexGrid(config, call, schedule);
        var final = config.Flag("set_alpha_to_one", true) ? NoiseLevel.Clean : schedule.LevelAt(0);
        var stride = schedule.Steps / grid.Count;
        var targets = new NoiseLevel[grid.Count];
        for (var k = 0; k < targets.Length; k++)
        {
            var target = grid.Times[k] - stride;
            targets[k] = target < 0 ? final : schedule.LevelAt(target);
        }

        return new DiffusersSampler(new DiffusionSampler(
            grid.WithFinalLevel(targets[^1]),
            TargetedSolver.Over(grid, new DdimSolver(call.Eta ?? 0.0), targets),
            MappedOptions.Of(config, clips: true, rederiveNoise: call.UseClippedModelOutput)));
    }
}
