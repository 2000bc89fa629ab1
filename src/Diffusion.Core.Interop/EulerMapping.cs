using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>Euler's method over sigma / alpha, with churn.</summary>
internal sealed class EulerMapping : ISchedulerMapping
{
    public string ClassName => "EulerDiscreteScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var trained = new TrainedGrid(config);
        return Sampler(config, Grid(config, call, trained), new EulerSolver(ChurnOf(call)));
    }

    /// <summary>A sampler of the schedulers that keep x / alpha.</summary>
    public static DiffusersSampler Sampler(SchedulerConfig config, TimeGrid grid, ISolver solver, bool? clips = null)
        => new(new DiffusionSampler(grid, solver, MappedOptions.Of(config, clips)), IsExploding: true);

    /// <summary>The churn of a call. diffusers calls the network before the noise is added.</summary>
    public static Churn ChurnOf(SchedulerCall call) => new()
    {
        Amount = call.SChurn,
        MinRatio = call.STmin,
        MaxRatio = call.STmax,
        NoiseScale = call.SNoise,
        CallsNetworkFirst = true,
    };

    private static TimeGrid Grid(SchedulerConfig config, SchedulerCall call, TrainedGrid trained)
    {
        var timeType = config.Text("timestep_type", "discrete");
        if (timeType != "discrete")
            throw config.Unknown("timestep_type", timeType);
        var last = trained.FinalRatio();
        var interpolation = config.Text("interpolation_type", "linear");
        if (interpolation is not ("linear" or "log_linear"))
            throw config.Unknown("interpolation_type", interpolation);
        return interpolation == "log_linear" && !Respaces(config) && call.Sigmas is null
            ? LogLinear(trained.Fractional(call, last), trained)
            : trained.Fractional(call, last);
    }

    private static bool Respaces(SchedulerConfig config)
        => config.Flag("use_karras_sigmas", false) || config.Flag("use_exponential_sigmas", false) || config.Flag("use_beta_sigmas", false);

    /// <summary>The levels of the whole schedule at N equal steps of log(sigma / alpha), under the times that the spacing gives.</summary>
    private static TimeGrid LogLinear(TimeGrid grid, TrainedGrid trained)
    {
        var ratios = RatioSpacing.Exponential().Ratios(grid.Count + 1, trained.LeastRatio, trained.GreatestRatio);
        return new TimeGrid(grid.Schedule, grid.Times, [.. ratios.Select(TrainedGrid.Level).Take(grid.Count), grid.Levels[^1]]);
    }
}
