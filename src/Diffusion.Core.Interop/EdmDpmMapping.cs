using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>DPM-Solver++ over EDM's process and grid, for networks with EDM's preconditioning.</summary>
internal sealed class EdmDpmMapping : ISchedulerMapping
{
    public string ClassName => "EDMDPMSolverMultistepScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => new(new DiffusionSampler(EdmGrid.Of(config, call, endsAtLeast: true), DpmFamily.Multistep(config), EdmGrid.Options(config)));
}
