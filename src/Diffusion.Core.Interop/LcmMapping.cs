using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>Latent consistency models.</summary>
internal sealed class LcmMapping : ISchedulerMapping
{
    // Fixed in diffusers, not a setting.
    private const double DataDeviation = 0.5;

    public string ClassName => "LCMScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => new(new DiffusionSampler(
            DistilledGrid.Of(config, call, endsClean: true),
            ConsistencySolver.Latent(config.Number("timestep_scaling", 10.0), DataDeviation),
            MappedOptions.Of(config, clips: false)));
}
