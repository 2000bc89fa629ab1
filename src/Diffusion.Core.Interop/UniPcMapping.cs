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
        var grid = config.Flag("use_flow_sigmas", false) && !config.Flag("use_karras_sigmas", false)
            ? StraightLine(config, call)
            : DpmFamily.Grid(config, call, DpmFamily.LastOfRespaced(config));
        return new(new DiffusionSampler(grid, solver, MappedOptions.Of(config)));
    }

    /// <summary>N + 1 levels from 1 to 1/T, shifted, the last one put aside; the first stays just below 1.</summary>
    private static TimeGrid StraightLine(SchedulerConfig config, SchedulerCall call)
    {
        var (count, total) = (call.Count(), TrainedSchedule.Steps(config));
        var sigmas = call.Sigmas?.ToArray()
            ?? Enumerable.Range(0, count).Select(k => 1.0 - (k * (1.0 - (1.0 / total)) / count)).ToArray();
        var shift = DpmFamily.Shift(config, call);
        sigmas = Array.ConvertAll(sigmas, sigma => Math.Min(shift.Apply(sigma), 1.0 - LeastSignal));
        return DpmFamily.Line(total, sigmas, config.Text("final_sigmas_type", "zero") == "zero" ? 0.0 : sigmas[^1]);
    }
}
