using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>The settings that diffusers' DPM-Solver, UniPC, DEIS and SA-Solver share.</summary>
internal static class DpmFamily
{
    /// <summary>The grid of a configuration whose <c>final_sigmas_type</c> specifies where it ends.</summary>
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

    /// <summary>
    /// The grid of a configuration whose scheduler always ends at its smallest level, on respaced grids the last one again.
    /// </summary>
    public static TimeGrid EndingAtLast(SchedulerConfig config, SchedulerCall call) => Ending(config, call, LastOfRespaced(config));

    /// <summary>What UniPC, DEIS and SA-Solver call their smallest level.</summary>
    public static Func<double, double, double> LastOfRespaced(SchedulerConfig config) => (least, last) => IsRespaced(config) ? last : least;

    /// <summary>Whether the grid is chosen by level, not by time.</summary>
    public static bool IsRespaced(SchedulerConfig config)
        => config.Flag("use_karras_sigmas", false) || config.Flag("use_exponential_sigmas", false) || config.Flag("use_beta_sigmas", false)
            || config.Flag("use_flow_sigmas", false);

    /// <summary>The algorithm type and tau of <c>algorithm_type</c>.</summary>
    public static (AlgorithmType Type, double Tau) Algorithm(SchedulerConfig config)
    {
        var kind = config.Text("algorithm_type", "dpmsolver++");
        return kind switch
        {
            "dpmsolver++" or "deis" => (AlgorithmType.DataPrediction, 0.0),
            "dpmsolver" => (AlgorithmType.NoisePrediction, 0.0),
            "sde-dpmsolver++" => (AlgorithmType.DataPrediction, 1.0),
            "sde-dpmsolver" => (AlgorithmType.NoisePrediction, 1.0),
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
        var (algorithmType, tau) = Algorithm(config);
        return new DpmMultistepSolver(config.Whole("solver_order", 2), algorithmType, tau)
        {
            Heun = IsHeun(config),
            LowerOrderFinal = config.Flag("lower_order_final", true),
            EulerAtFinal = config.Flag("euler_at_final", false),
        };
    }

    private static TimeGrid Ending(SchedulerConfig config, SchedulerCall call, Func<double, double, double> minimum)
    {
        var trained = new TrainedGrid(config);
        return config.Flag("use_flow_sigmas", false)
            ? StraightLine(config, call, last => minimum(trained.LeastRatio, last))
            : trained.Whole(call, last => minimum(trained.LeastRatio, last));
    }

    /// <summary>
    /// A grid on the straight line of flow matching: N + 1 levels from 1 - 1/T to 0, shifted, the last one removed. The network receives
    /// whole times.
    /// </summary>
    private static TimeGrid StraightLine(SchedulerConfig config, SchedulerCall call, Func<double, double> last)
    {
        if (call.Timesteps is not null || call.Sigmas is not null)
            throw new NotSupportedException(
                $"{config.ClassName} with use_flow_sigmas takes a number of steps, not custom times or sigmas.");
        RequireOneGrid(config);
        if (config.Flag("use_karras_sigmas", false))
            throw NotBoth(config, "use_karras_sigmas");
        var (count, total) = (call.Count(), TrainedSchedule.Steps(config));
        var shift = Shift(config, call);
        var falling = Falling(total, count);
        double[] rising = [.. falling[1..], 1.0 / total];
        Array.Reverse(rising);
        var sigmas = Array.ConvertAll(rising, alpha => shift.Apply(1.0 - alpha));
        return Line(total, sigmas, last(sigmas[^1]));
    }

    /// <summary>N of N + 1 even levels from 1 to 1/T, rounded as numpy does it: the network's whole times depend on that.</summary>
    public static double[] Falling(int total, int count)
    {
        var stride = ((1.0 / total) - 1.0) / count;
        return [.. Enumerable.Range(0, count).Select(k => 1.0 + (k * stride))];
    }

    /// <summary>Levels of the trained schedule have no meaning on the straight line, where diffusers uses them unchanged.</summary>
    /// <exception cref="NotSupportedException">The configuration asks for both.</exception>
    public static void RequireOneGrid(SchedulerConfig config)
    {
        foreach (var name in new[] { "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas" })
        {
            if (config.Flag(name, false))
                throw NotBoth(config, name);
        }
    }

    /// <summary>How the levels of the straight line are moved: by mu where shifts are dynamic, otherwise by <c>flow_shift</c>.</summary>
    public static TimestepShift Shift(SchedulerConfig config, SchedulerCall call)
        => config.Flag("use_dynamic_shifting", false) ? FlowSchedulers.Dynamic(config, call) : TimestepShift.Static(config.Number("flow_shift", 1.0));

    /// <summary>The grid of sigmas on the straight line.</summary>
    public static TimeGrid Line(int total, double[] sigmas, double last)
        => new(
            new RectifiedFlowSchedule(total),
            Array.ConvertAll(sigmas, sigma => Math.Floor(sigma * total)),
            [.. sigmas.Select(Level), Level(last)]);

    private static NotSupportedException NotBoth(SchedulerConfig config, string name)
        => new($"{config.ClassName} with use_flow_sigmas and {name} is not supported.");

    private static NoiseLevel Level(double sigma) => new(1.0 - sigma, sigma);
}
