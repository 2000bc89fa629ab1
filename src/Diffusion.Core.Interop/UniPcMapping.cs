using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>UniPC.</summary>
internal sealed class UniPcMapping : ISchedulerMapping
{
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
        return new(new DiffusionSampler(
            DpmFamily.Grid(config, call, DpmFamily.LastOfRespaced(config)), solver, MappedOptions.Of(config)));
    }
}
