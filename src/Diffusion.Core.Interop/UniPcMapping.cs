using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>UniPC.</summary>
internal sealed class UniPcMapping : ISchedulerMapping
{
    private const double LeastSignal = 1e-6;

    public string ClassName => "UniPCMultistepScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var kind = config.Text("solver_type", "bh2");
        var b = kind switch
        {
            "bh1" => UniPcSolver.Bh1,
            "bh2" or "midpoint" or "heun" or "logrho" => UniPcSolver.Bh2,
            _ => throw config.Unknown("solver_type", kind),
        };
        var uncorrected = (config.Numbers("disable_corrector") ?? []).ToHashSet();
        var form = config.Flag("predict_x0", true) ? SolverForm.Data : SolverForm.Noise;
        var solver = new UniPcSolver(
            config.Whole("solver_order", 2), form, b, step => !uncorrected.Contains(step), config.Flag("lower_order_final", true));
        var grid = config.Flag("use_flow_sigmas", false)
            ? StraightLine(config, call)
            : DpmFamily.Grid(config, call, DpmFamily.LastOfRespaced(config));
        return new(new DiffusionSampler(grid, solver, MappedOptions.Of(config)));
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
                throw new NotSupportedException($"{config.ClassName} with use_karras_sigmas takes no sigmas of one's own.");
            var levels = new TrainedGrid(config).Whole(call, last => last).Levels[..count];
            sigmas = Array.ConvertAll(levels.ToArray(), level => level.Ratio / (1.0 + level.Ratio));
        }
        else
        {
            DpmFamily.RequireOneGrid(config);
            var shift = DpmFamily.Shift(config, call);
            sigmas = call.Sigmas?.ToArray() ?? DpmFamily.Falling(total, count);
            sigmas = FlowGrid.Stretched(config, Array.ConvertAll(sigmas, shift.Apply));
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
