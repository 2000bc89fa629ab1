using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>Flow matching by Euler's method, or by fresh noise at each level; inverted, from sigma 0 to 1.</summary>
internal sealed class FlowEulerMapping : ISchedulerMapping
{
    public string ClassName => "FlowMatchEulerDiscreteScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        ISolver solver = config.Flag("stochastic_sampling", false) ? new ConsistencySolver() : new DdimSolver();
        return new DiffusersSampler(new DiffusionSampler(FlowGrid.Of(config, call), solver, FlowGrid.Options));
    }
}
