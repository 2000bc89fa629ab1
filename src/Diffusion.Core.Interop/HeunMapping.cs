using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>Heun's method over sigma / alpha.</summary>
internal sealed class HeunMapping : ISchedulerMapping
{
    public string ClassName => "HeunDiscreteScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => EulerMapping.Sampler(config, new TrainedGrid(config).Fractional(call), new HeunSolver(), clips: false);
}
