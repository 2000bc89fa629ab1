using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>The schedulers whose samples are x / alpha, over levels sigma / alpha: Euler, Heun, DPM2 and LMS.</summary>
internal static class SigmaSchedulers
{
    /// <summary>EulerDiscreteScheduler: Euler's method, with churn.</summary>
    public static DiffusersSampler Euler(SchedulerConfig config, SchedulerCall call)
    {
        // diffusers reads v at the level before the noise is added, and the sample after it.
        if (call.SChurn > 0.0 && config.Text("prediction_type", "epsilon") == "v_prediction")
            throw new NotSupportedException($"{config.ClassName} with prediction_type 'v_prediction' and s_churn is not supported.");
        var grid = Grid(config, call, new TrainedGrid(config));
        var solver = new EulerSolver(ChurnOf(call));
        if (!IsContinuous(config))
            return Sampler(config, grid, solver);
        grid = Exploding(grid);
        return new(new DiffusionSampler(grid, solver, Options(config, grid)), Prediction.EdmVelocity(1.0));
    }

    /// <summary>EulerAncestralDiscreteScheduler: Euler's method with ancestral noise, which is DDIM with eta 1.</summary>
    public static DiffusersSampler EulerAncestral(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, new TrainedGrid(config).Fractional(call), new DdimSolver(eta: 1.0));

    /// <summary>HeunDiscreteScheduler.</summary>
    public static DiffusersSampler Heun(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, new TrainedGrid(config).Fractional(call), new HeunSolver());

    /// <summary>KDPM2DiscreteScheduler.</summary>
    public static DiffusersSampler Dpm2(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, new TrainedGrid(config).Fractional(call, roundKarras: true), new Dpm2Solver());

    /// <summary>KDPM2AncestralDiscreteScheduler.</summary>
    public static DiffusersSampler Dpm2Ancestral(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, new TrainedGrid(config).Fractional(call, roundKarras: true), new Dpm2Solver(eta: 1.0));

    /// <summary>LMSDiscreteScheduler, whose formula is used for the step to the data too.</summary>
    public static DiffusersSampler Lms(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, new TrainedGrid(config).Fractional(call), new LmsSolver(call.Order ?? 4) { EulerAtEnd = false });

    /// <summary>A sampler of the schedulers that keep x / alpha.</summary>
    private static DiffusersSampler Sampler(SchedulerConfig config, TimeGrid grid, ISolver solver)
        => MappedOptions.Sampler(config, grid, solver, Options(config, grid)) with { IsExploding = true };

    /// <summary>
    /// Options with the noise at the start that these schedulers ask for: that of x_t for data of unit variance on "leading" grids, otherwise
    /// sigma alone.
    /// </summary>
    private static SamplerOptions Options(SchedulerConfig config, TimeGrid grid)
        => MappedOptions.Of(config) with
        {
            InitialScale = config.Text("timestep_spacing", "linspace") == "leading" ? null : grid.Levels[0].Sigma,
        };

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
        if (interpolation == "linear")
            return trained.Fractional(call, last);
        if (call.SChurn > 0.0)
            throw new NotSupportedException($"{config.ClassName} with interpolation_type 'log_linear' and s_churn is not supported.");
        return trained.Respaces
            ? trained.Fractional(call, last, whole: true)
            : LogLinear(trained.Fractional(call, last), trained, IsContinuous(config));
    }

    /// <summary>
    /// Whether the network receives log(sigma) / 4, as that of Stable Video Diffusion does; one that predicts eps never does.
    /// </summary>
    public static bool IsContinuous(SchedulerConfig config)
    {
        var kind = config.Text("timestep_type", "discrete");
        return kind is "discrete" or "continuous"
            ? kind == "continuous" && config.Text("prediction_type", "epsilon") == "v_prediction"
            : throw config.Unknown("timestep_type", kind);
    }

    /// <summary>The same sigma / alpha with alpha 1, and the timesteps of EDM.</summary>
    private static TimeGrid Exploding(TimeGrid grid)
    {
        var ratios = grid.Levels[..^1].ToArray().Select(level => level.NoiseToSignalRatio).ToArray();
        var schedule = new EdmSchedule(0.5 * ratios.Min(), 2.0 * ratios.Max());
        return TimeGrid.FromSigmas(schedule, ratios, new NoiseLevel(1.0, grid.Levels[^1].NoiseToSignalRatio));
    }

    /// <summary>
    /// The levels of the whole schedule at N equal steps of log(sigma / alpha), under the times that the spacing gives. The last step leads
    /// to the least of them, and diffusers never comes to the end that <c>final_sigmas_type</c> adds, unless times are those of the levels:
    /// then there is one step more.
    /// </summary>
    private static TimeGrid LogLinear(TimeGrid grid, TrainedGrid trained, bool isContinuous)
    {
        var ratios = SigmaSpacing.Exponential().Ratios(grid.Count + 1, trained.LeastRatio, trained.GreatestRatio);
        var times = grid.Times;
        var levels = ratios.Select(TrainedGrid.Level);
        return isContinuous
            ? new TimeGrid(grid.Schedule, [.. times, times[^1]], [.. levels, grid.Levels[^1]])
            : new TimeGrid(grid.Schedule, times, [.. levels]);
    }
}
