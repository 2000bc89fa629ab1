using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>The settings that diffusers' DPM-Solver, UniPC, DEIS and SA-Solver share.</summary>
internal static class DpmFamily
{
    /// <summary>The grid of a configuration whose <c>final_sigmas_type</c> says where it ends.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="call">The arguments of the call.</param>
    /// <param name="minimum">"sigma_min" as a function of the schedule's least sigma / alpha and that of the last step.</param>
    public static TimeGrid Grid(SchedulerConfig config, SchedulerCall call, Func<double, double, double>? minimum = null)
    {
        var kind = config.Text("final_sigmas_type", "zero");
        return kind switch
        {
            "zero" => Ending(config, call, (_, _) => 0.0),
            "sigma_min" => Ending(config, call, minimum ?? ((least, _) => least)),
            _ => throw config.Unknown("final_sigmas_type", kind),
        };
    }

    /// <summary>The grid of a configuration whose scheduler always ends at its smallest level, on respaced grids the last one again.</summary>
    public static TimeGrid EndingAtLast(SchedulerConfig config, SchedulerCall call) => Ending(config, call, LastOfRespaced(config));

    /// <summary>What UniPC, DEIS and SA-Solver call their smallest level.</summary>
    public static Func<double, double, double> LastOfRespaced(SchedulerConfig config) => (least, last) => IsRespaced(config) ? last : least;

    /// <summary>Whether the grid is chosen by level, not by time.</summary>
    public static bool IsRespaced(SchedulerConfig config)
        => config.Flag("use_karras_sigmas", false) || config.Flag("use_exponential_sigmas", false) || config.Flag("use_beta_sigmas", false)
            || config.Flag("use_flow_sigmas", false);

    /// <summary>What <c>algorithm_type</c> says: the form, and tau.</summary>
    public static (SolverForm Form, double Tau) Algorithm(SchedulerConfig config)
    {
        var kind = config.Text("algorithm_type", "dpmsolver++");
        return kind switch
        {
            "dpmsolver++" or "deis" => (SolverForm.Data, 0.0),
            "dpmsolver" => (SolverForm.Noise, 0.0),
            "sde-dpmsolver++" => (SolverForm.Data, 1.0),
            "sde-dpmsolver" => (SolverForm.Noise, 1.0),
            _ => throw config.Unknown("algorithm_type", kind),
        };
    }

    /// <summary>Whether <c>solver_type</c> is "heun"; the names of other families stand for "midpoint".</summary>
    public static bool IsHeun(SchedulerConfig config)
    {
        var kind = config.Text("solver_type", "midpoint");
        return kind switch
        {
            "heun" => true,
            "midpoint" or "logrho" or "bh1" or "bh2" => false,
            _ => throw config.Unknown("solver_type", kind),
        };
    }

    /// <summary>The multistep solver of a configuration.</summary>
    public static DpmMultistepSolver Multistep(SchedulerConfig config)
    {
        var (form, tau) = Algorithm(config);
        return new DpmMultistepSolver(
            config.Whole("solver_order", 2),
            form,
            tau,
            IsHeun(config),
            config.Flag("lower_order_final", true),
            config.Flag("euler_at_final", false));
    }

    private static TimeGrid Ending(SchedulerConfig config, SchedulerCall call, Func<double, double, double> minimum)
    {
        var trained = new TrainedGrid(config);
        return trained.Whole(call, last => minimum(trained.LeastRatio, last));
    }
}
