using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>DPM2, with and without ancestral noise.</summary>
internal sealed class Dpm2Mapping(bool isAncestral) : ISchedulerMapping
{
    public string ClassName => isAncestral ? "KDPM2AncestralDiscreteScheduler" : "KDPM2DiscreteScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => EulerMapping.Sampler(
            config, new TrainedGrid(config).Fractional(call, roundKarras: true), new Dpm2Solver(eta: isAncestral ? 1.0 : 0.0));
}
