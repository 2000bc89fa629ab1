using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>Flow matching by Euler's method, or by fresh noise at each level.</summary>
internal sealed class FlowEulerMapping : ISchedulerMapping
{
    public string ClassName => "FlowMatchEulerDiscreteScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        if (config.Flag("invert_sigmas", false))
            throw config.Unknown("invert_sigmas", "true");
        ISolver solver = config.Flag("stochastic_sampling", false) ? new ConsistencySolver() : new EulerSolver();
        return new DiffusersSampler(new DiffusionSampler(FlowGrid.Of(config, call), solver, FlowGrid.Options));
    }
}
