using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>Linear multistep, whose formula is used for the step to the data too.</summary>
internal sealed class LmsMapping : ISchedulerMapping
{
    public string ClassName => "LMSDiscreteScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => EulerMapping.Sampler(config, new TrainedGrid(config).Fractional(call), new LmsSolver(call.Order ?? 4, eulerAtEnd: false));
}
