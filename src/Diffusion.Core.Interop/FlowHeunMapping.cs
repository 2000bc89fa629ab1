using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>Flow matching by Heun's method.</summary>
internal sealed class FlowHeunMapping : ISchedulerMapping
{
    public string ClassName => "FlowMatchHeunDiscreteScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => call.SChurn > 0.0
            ? throw new NotSupportedException($"{ClassName} with s_churn is not supported.")
            : new(new DiffusionSampler(FlowGrid.Of(config, call), new FlowHeunSolver(), FlowGrid.Options));
}
