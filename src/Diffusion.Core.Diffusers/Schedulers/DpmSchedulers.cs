using Diffusion.Core.Samplers;

namespace Diffusion.Core.Diffusers;

/// <summary>The schedulers of exponential integrators: DPM-Solver, DEIS, SA-Solver and UniPC.</summary>
internal static class DpmSchedulers
{
    // The smallest alpha of a rectified flow grid: sigma is at most 1 - 1e-6.
    private const double LeastSignal = 1e-6;

    /// <summary>Creates the sampler of DPMSolverMultistepScheduler.</summary>
    public static DiffusersSampler Multistep(SchedulerConfig config, SchedulerCall call)
        => MappedOptions.Sampler(config, DpmFamily.Grid(config, call), DpmFamily.Multistep(config));

    /// <summary>
    /// Creates the sampler of DPMSolverSinglestepScheduler. If the number of steps is not a multiple of the order, or the final level
    /// has no noise, the last step is of lower order regardless of <c>lower_order_final</c>, as in diffusers.
    /// </summary>
    public static DiffusersSampler Singlestep(SchedulerConfig config, SchedulerCall call)
    {
        var (algorithmType, tau) = DpmFamily.Algorithm(config);
        var solver = new DpmSinglestepSolver(config.Whole("solver_order", 2), algorithmType, tau)
        {
            Heun = DpmFamily.IsHeun(config),
            LowerOrderFinal = config.Flag("lower_order_final", false),
        };
        return MappedOptions.Sampler(config, DpmFamily.Grid(config, call), solver);
    }

    /// <summary>
    /// Creates the sampler of DPMSolverMultistepInverseScheduler, which goes from data to noise. The network receives the timestep at
    /// the start of each step.
    /// </summary>
    public static DiffusersSampler MultistepInverse(SchedulerConfig config, SchedulerCall call)
        => MappedOptions.Sampler(config, InverseGrid(config, call), DpmFamily.Multistep(config));

    /// <summary>Creates the sampler of DEISMultistepScheduler.</summary>
    public static DiffusersSampler Deis(SchedulerConfig config, SchedulerCall call)
        => MappedOptions.Sampler(
            config,
            DpmFamily.EndingAtLast(config, call),
            new DeisSolver(config.Whole("solver_order", 2)) { LowerOrderFinal = config.Flag("lower_order_final", true) });

    /// <summary>Creates the sampler of SASolverScheduler, with the default tau of diffusers.</summary>
    public static DiffusersSampler Sa(SchedulerConfig config, SchedulerCall call)
    {
        var kind = config.Text("algorithm_type", "data_prediction");
        var algorithmType = kind switch
        {
            "data_prediction" => AlgorithmType.DataPrediction,
            "noise_prediction" => AlgorithmType.NoisePrediction,
            _ => throw config.Unknown("algorithm_type", kind),
        };
        var solver = new SaSolver(config.Whole("predictor_order", 2), config.Whole("corrector_order", 2), SaSolver.MiddleTau, algorithmType)
        {
            LowerOrderFinal = config.Flag("lower_order_final", true),
        };
        return MappedOptions.Sampler(config, DpmFamily.EndingAtLast(config, call), solver);
    }

    /// <summary>Creates the sampler of UniPCMultistepScheduler.</summary>
    public static DiffusersSampler UniPc(SchedulerConfig config, SchedulerCall call)
    {
        var kind = config.Text("solver_type", "bh2");
        var b = kind switch
        {
            "bh1" => UniPcSolver.Bh1,
            "bh2" or "midpoint" or "heun" or "logrho" => UniPcSolver.Bh2,
            _ => throw config.Unknown("solver_type", kind),
        };
        var uncorrected = (config.Numbers("disable_corrector") ?? []).ToHashSet();
        var algorithmType = config.Flag("predict_x0", true) ? AlgorithmType.DataPrediction : AlgorithmType.NoisePrediction;
        var solver = new UniPcSolver(config.Whole("solver_order", 2), algorithmType, b, step => !uncorrected.Contains(step))
        {
            LowerOrderFinal = config.Flag("lower_order_final", true),
        };
        var grid = config.Flag("use_flow_sigmas", false)
            ? StraightLine(config, call)
            : DpmFamily.Grid(config, call, DpmFamily.LastOfRespaced(config));
        return MappedOptions.Sampler(config, grid, solver);
    }

    /// <summary>
    /// Returns the grid of the inverse scheduler. If the timesteps are spaced by "linspace" or "leading", the points are those of the
    /// multistep scheduler, moved by one towards the data, and the last step ends at the noisiest level of the schedule. If they are
    /// spaced by "trailing", or the grid is respaced, the points are those of the multistep scheduler, and the last step does not
    /// change the level.
    /// </summary>
    private static TimeGrid InverseGrid(SchedulerConfig config, SchedulerCall call)
    {
        if (config.Flag("use_flow_sigmas", false))
            throw config.Unknown("use_flow_sigmas", "true");
        var trained = new TrainedGrid(config);
        if (trained.Respaces && call.Count() == 1)
            return new TimeGrid(trained.Schedule, [0.0], [TrainedGrid.Level(trained.LeastRatio), TrainedGrid.Level(trained.LeastRatio)]);
        var falling = trained.Whole(call, last => last);
        var spacing = config.Text("timestep_spacing", "linspace");
        var (times, levels) = (falling.Times.ToArray(), falling.Levels[..^1].ToArray());
        Array.Reverse(times);
        Array.Reverse(levels);
        if (trained.Respaces || spacing == "trailing")
            return new TimeGrid(falling.Schedule, times, [.. levels, levels[^1]]);
        var isLeading = spacing == "leading";
        var first = isLeading ? config.Whole("steps_offset", 0) : 0.0;
        var start = falling.Schedule.LevelAt(first);
        var end = isLeading ? falling.Schedule.LevelAt(trained.NoisiestIndex) : levels[^1];
        return new TimeGrid(falling.Schedule, [first, .. times[..^1]], [start, .. levels[..^1], end]);
    }

    /// <summary>
    /// Returns a rectified flow grid: N + 1 evenly spaced levels from 1 to 1/T, shifted, without the last one, and limited to just
    /// below 1. With <c>use_karras_sigmas</c>, it has the sigma / alpha of the Karras grid of the trained schedule.
    /// </summary>
    private static TimeGrid StraightLine(SchedulerConfig config, SchedulerCall call)
    {
        call.Reject(config, timesteps: true);
        var (count, total) = (call.Count(), TrainedSchedule.Steps(config));
        double[] sigmas;
        if (config.Flag("use_karras_sigmas", false))
        {
            if (call.Sigmas is not null)
                throw new NotSupportedException($"{config.ClassName} with use_karras_sigmas does not support custom sigmas.");
            var levels = new TrainedGrid(config).Whole(call, last => last).Levels[..count];
            sigmas = Array.ConvertAll(levels.ToArray(), level => level.NoiseToSignalRatio / (1.0 + level.NoiseToSignalRatio));
        }
        else
        {
            DpmFamily.RequireOneGrid(config);
            var shift = DpmFamily.Shift(config, call);
            sigmas = call.Sigmas?.ToArray() ?? DpmFamily.Falling(total, count);
            sigmas = FlowSchedulers.Stretched(config, Array.ConvertAll(sigmas, shift.Apply));
            sigmas = Array.ConvertAll(sigmas, sigma => Math.Min(sigma, 1.0 - LeastSignal));
        }

        var kind = config.Text("final_sigmas_type", "zero");
        return DpmFamily.Line(total, sigmas, kind switch
        {
            "zero" => 0.0,
            "sigma_min" => sigmas[^1],
            _ => throw config.Unknown("final_sigmas_type", kind),
        });
    }
}
