using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>
/// DPM-Solver and DPM-Solver++, singlestep. Steps that do not come out even, and an end without noise, imply <c>lower_order_final</c>.
/// </summary>
internal sealed class DpmSinglestepMapping : ISchedulerMapping
{
    public string ClassName => "DPMSolverSinglestepScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var (form, tau) = DpmFamily.Algorithm(config);
        var solver = new DpmSinglestepSolver(
            config.Whole("solver_order", 2), form, tau, DpmFamily.IsHeun(config), config.Flag("lower_order_final", false));
        return new(new DiffusionSampler(DpmFamily.Grid(config, call), solver, MappedOptions.Of(config)));
    }
}
