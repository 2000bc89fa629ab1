using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>Euler's method with ancestral noise, which is DDIM with eta 1.</summary>
internal sealed class EulerAncestralMapping : ISchedulerMapping
{
    public string ClassName => "EulerAncestralDiscreteScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => EulerMapping.Sampler(config, new TrainedGrid(config).Fractional(call), new DdimSolver(eta: 1.0));
}
