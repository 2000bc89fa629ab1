using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>Euler's method over sigma / alpha, with churn.</summary>
internal sealed class EulerMapping : ISchedulerMapping
{
    public string ClassName => "EulerDiscreteScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var grid = Grid(config, call, new TrainedGrid(config));
        var solver = new EulerSolver(ChurnOf(call));
        return IsContinuous(config)
            ? new DiffusersSampler(new DiffusionSampler(
                Exploding(grid), solver, MappedOptions.Of(config) with { Prediction = Prediction.EdmVelocity(1.0) }))
            : Sampler(config, grid, solver);
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
        // Sigmas of a call end with the last level.
        if (call.Sigmas is { Count: > 1 } sigmas)
            return trained.Fractional(call with { Sigmas = [.. sigmas.SkipLast(1)] }, sigmas[^1]);
        var last = trained.FinalRatio();
        var interpolation = config.Text("interpolation_type", "linear");
        if (interpolation is not ("linear" or "log_linear"))
            throw config.Unknown("interpolation_type", interpolation);
        return interpolation == "log_linear" && !Respaces(config)
            ? LogLinear(trained.Fractional(call, last), trained)
            : trained.Fractional(call, last);
    }

    /// <summary>Whether the network is told log(sigma) / 4, as that of Stable Video Diffusion is; one that predicts eps never is.</summary>
    private static bool IsContinuous(SchedulerConfig config)
    {
        var kind = config.Text("timestep_type", "discrete");
        return kind is "discrete" or "continuous"
            ? kind == "continuous" && config.Text("prediction_type", "epsilon") == "v_prediction"
            : throw config.Unknown("timestep_type", kind);
    }

    /// <summary>The same sigma / alpha with alpha 1, told as EDM tells them.</summary>
    private static TimeGrid Exploding(TimeGrid grid)
    {
        var ratios = grid.Levels[..^1].ToArray().Select(level => level.Ratio).ToArray();
        var schedule = new EdmSchedule(0.5 * ratios.Min(), 2.0 * ratios.Max());
        return TimeGrid.FromRatios(schedule, ratios, new NoiseLevel(1.0, grid.Levels[^1].Ratio));
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
