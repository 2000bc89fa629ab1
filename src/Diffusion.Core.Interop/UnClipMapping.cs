using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>
/// The sampler of unCLIP: DDPM over N times from T-1 to 0. Unless a pipeline tells it where a step leads, each goes down by one index.
/// </summary>
internal sealed class UnClipMapping : ISchedulerMapping
{
    public string ClassName => "UnCLIPScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var schedule = TrainedSchedule.Rounded(DiscreteSchedule.Cosine(TrainedSchedule.Steps(config)));
        var grid = TimeSpacing.Linspace.CreateGrid(schedule, call.Count());
        var targets = new NoiseLevel[grid.Count];
        for (var k = 0; k < targets.Length; k++)
            targets[k] = schedule.PreviousLevel((int)grid.Times[k]);
        return new DiffusersSampler(new DiffusionSampler(
            grid,
            TargetedSolver.Over(grid, new AncestralSolver(DdpmMapping.Variance(config, "fixed_small_log")), targets),
            MappedOptions.Of(config, clips: true)));
    }
}
