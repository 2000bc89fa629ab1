using Diffusion.Core.Samplers;

namespace Diffusion.Core.Diffusers;

/// <summary>The schedulers of exponential integrators: DPM-Solver, DEIS, SA-Solver and UniPC.</summary>
internal static class DpmSchedulers
{
    // The straight line's first level stays this far below 1.
    private const double LeastSignal = 1e-6;

    /// <summary>DPMSolverMultistepScheduler.</summary>
    public static DiffusersSampler Multistep(SchedulerConfig config, SchedulerCall call)
        => MappedOptions.Sampler(config, DpmFamily.Grid(config, call), DpmFamily.Multistep(config));

    /// <summary>DPMSolverSinglestepScheduler. Steps that do not come out even, and an end without noise, imply <c>lower_order_final</c>.</summary>
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

    /// <summary>DPMSolverMultistepInverseScheduler: from data to noise, at the time that each step leaves from.</summary>
    public static DiffusersSampler MultistepInverse(SchedulerConfig config, SchedulerCall call)
        => MappedOptions.Sampler(config, InverseGrid(config, call), DpmFamily.Multistep(config));

    /// <summary>DEISMultistepScheduler.</summary>
    public static DiffusersSampler Deis(SchedulerConfig config, SchedulerCall call)
        => MappedOptions.Sampler(
            config,
            DpmFamily.EndingAtLast(config, call),
            new DeisSolver(config.Whole("solver_order", 2)) { LowerOrderFinal = config.Flag("lower_order_final", true) });

    /// <summary>SASolverScheduler, with the tau that diffusers has where none is given.</summary>
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

    /// <summary>UniPCMultistepScheduler.</summary>
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
    /// By time, the points are those of the multistep scheduler one place further towards the data, and the last step leads to the end of
    /// the schedule. By level, they are the same points, and the last step stays where it is.
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
    /// N + 1 levels from 1 to 1/T, shifted, the last one put aside; the first stays just below 1. A Karras grid is one of the trained
    /// schedule, whose sigma / alpha the line has too.
    /// </summary>
    private static TimeGrid StraightLine(SchedulerConfig config, SchedulerCall call)
    {
        var (count, total) = (call.Count(), TrainedSchedule.Steps(config));
        double[] sigmas;
        if (config.Flag("use_karras_sigmas", false))
        {
            if (call.Sigmas is not null)
                throw new NotSupportedException($"{config.ClassName} with use_karras_sigmas takes no custom sigmas.");
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
