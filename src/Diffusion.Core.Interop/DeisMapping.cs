using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>DEIS.</summary>
internal sealed class DeisMapping : ISchedulerMapping
{
    public string ClassName => "DEISMultistepScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => new(new DiffusionSampler(
            DpmFamily.EndingAtLast(config, call),
            new DeisSolver(config.Whole("solver_order", 2), config.Flag("lower_order_final", true)),
            MappedOptions.Of(config)));
}
