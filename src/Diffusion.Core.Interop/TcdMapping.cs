using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>Trajectory consistency models. The last step leads to index 0, and leaves its noise. Nothing is thresholded.</summary>
internal sealed class TcdMapping : ISchedulerMapping
{
    // The default of diffusers' step.
    private const double Gamma = 0.3;

    public string ClassName => "TCDScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => new(new DiffusionSampler(
            DistilledGrid.Of(config, call, endsClean: false),
            new TcdSolver(call.Eta ?? Gamma),
            MappedOptions.Of(config) with { Threshold = null }));
}
