using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>The schedulers whose samples are x / alpha and whose levels are sigma / alpha: Euler, Heun, DPM2 and LMS.</summary>
internal static class SigmaSchedulers
{
    /// <summary>Creates the sampler of EulerDiscreteScheduler: Euler's method with churn.</summary>
    public static DiffusersSampler Euler(SchedulerConfig config, SchedulerCall call)
    {
        // diffusers converts v with the level before the noise is added, but with the sample after it.
        if (call.SChurn > 0.0 && config.Text("prediction_type", "epsilon") == "v_prediction")
            throw new NotSupportedException($"{config.ClassName} with prediction_type 'v_prediction' and s_churn is not supported.");
        var grid = Grid(config, call, new TrainedGrid(config));
        var solver = new EulerSolver(ChurnOf(call));
        if (!IsContinuous(config))
            return Sampler(config, grid, solver);
        grid = Exploding(grid);
        return new(new DiffusionSampler(grid, solver, Options(config, grid)), Prediction.EdmVelocity(1.0));
    }

    /// <summary>
    /// Creates the sampler of EulerAncestralDiscreteScheduler: Euler's method with ancestral noise, which is DDIM with eta = 1.
    /// </summary>
    public static DiffusersSampler EulerAncestral(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, new TrainedGrid(config).Fractional(call), new DdimSolver(eta: 1.0));

    /// <summary>Creates the sampler of HeunDiscreteScheduler.</summary>
    public static DiffusersSampler Heun(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, new TrainedGrid(config).Fractional(call), new HeunSolver());

    /// <summary>Creates the sampler of KDPM2DiscreteScheduler.</summary>
    public static DiffusersSampler Dpm2(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, new TrainedGrid(config).Fractional(call, roundKarras: true), new Dpm2Solver());

    /// <summary>Creates the sampler of KDPM2AncestralDiscreteScheduler.</summary>
    public static DiffusersSampler Dpm2Ancestral(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, new TrainedGrid(config).Fractional(call, roundKarras: true), new Dpm2Solver(eta: 1.0));

    /// <summary>Creates the sampler of LMSDiscreteScheduler, which uses the multistep formula for the last step too.</summary>
    public static DiffusersSampler Lms(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, new TrainedGrid(config).Fractional(call), new LmsSolver(call.Order ?? 4) { EulerAtEnd = false });

    /// <summary>A sampler of the schedulers that keep x / alpha.</summary>
    private static DiffusersSampler Sampler(SchedulerConfig config, TimeGrid grid, ISolver solver)
        => MappedOptions.Sampler(config, grid, solver, Options(config, grid)) with { IsExploding = true };

    /// <summary>
    /// Returns options with the initial noise scale of these schedulers: with "leading" spacing the standard deviation of x_t for data
    /// of unit variance, otherwise sigma.
    /// </summary>
    private static SamplerOptions Options(SchedulerConfig config, TimeGrid grid)
        => MappedOptions.Of(config) with
        {
            InitialScale = config.Text("timestep_spacing", "linspace") == "leading" ? null : grid.Levels[0].Sigma,
        };

    /// <summary>Returns the churn of a call. diffusers calls the network before the noise is added.</summary>
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
        // The last of the custom sigmas is the final level.
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
    /// Returns whether the network receives log(sigma) / 4, as in Stable Video Diffusion. As in diffusers, the timestep type
    /// "continuous" has an effect only if the network predicts v.
    /// </summary>
    public static bool IsContinuous(SchedulerConfig config)
    {
        var kind = config.Text("timestep_type", "discrete");
        return kind is "discrete" or "continuous"
            ? kind == "continuous" && config.Text("prediction_type", "epsilon") == "v_prediction"
            : throw config.Unknown("timestep_type", kind);
    }

    /// <summary>Returns a grid with the same sigma / alpha, but with alpha = 1 and the timesteps of EDM.</summary>
    private static TimeGrid Exploding(TimeGrid grid)
    {
        var ratios = grid.Levels[..^1].ToArray().Select(level => level.NoiseToSignalRatio).ToArray();
        var schedule = new EdmSchedule(0.5 * ratios.Min(), 2.0 * ratios.Max());
        return TimeGrid.FromSigmas(schedule, ratios, new NoiseLevel(1.0, grid.Levels[^1].NoiseToSignalRatio));
    }

    /// <summary>
    /// Returns a grid with N + 1 levels of the whole schedule, evenly spaced in log(sigma / alpha), and with the timesteps of the
    /// given grid. The last step ends at the smallest of these levels, because diffusers does not reach the final level that
    /// <c>final_sigmas_type</c> adds. If <paramref name="isContinuous"/> is true, there is one more step, which ends at this final
    /// level.
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
