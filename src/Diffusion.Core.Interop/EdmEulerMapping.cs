using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>Euler's method on an EDM grid.</summary>
internal sealed class EdmEulerMapping : ISchedulerMapping
{
    public string ClassName => "EDMEulerScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => new(new DiffusionSampler(EdmGrid.Of(config, call), new EulerSolver(EulerMapping.ChurnOf(call)), EdmGrid.Options(config)));
}
