using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>DPM-Solver and DPM-Solver++, multistep.</summary>
internal sealed class DpmMultistepMapping : ISchedulerMapping
{
    public string ClassName => "DPMSolverMultistepScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => new(new DiffusionSampler(DpmFamily.Grid(config, call), DpmFamily.Multistep(config), MappedOptions.Of(config)));
}
