using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>The settings that the DPM-Solver, UniPC, DEIS and SA-Solver schedulers of diffusers have in common.</summary>
internal static class DpmFamily
{
    /// <summary>Returns the grid of a configuration, which ends at the level that <c>final_sigmas_type</c> specifies.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="call">The arguments of the call.</param>
    /// <param name="minimum">
    /// Returns the final level for "sigma_min" from the smallest sigma / alpha of the schedule and that of the last step. The default
    /// is the former.
    /// </param>
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
    /// Returns the grid of a configuration whose scheduler always ends at the smallest level: that of the schedule, or that of the
    /// last step if the grid is respaced.
    /// </summary>
    public static TimeGrid EndingAtLast(SchedulerConfig config, SchedulerCall call) => Ending(config, call, LastOfRespaced(config));

    /// <summary>Returns a function that computes the smallest level as UniPC, DEIS and SA-Solver define it.</summary>
    public static Func<double, double, double> LastOfRespaced(SchedulerConfig config) => (least, last) => IsRespaced(config) ? last : least;

    /// <summary>Returns whether the configuration spaces the noise levels rather than the timesteps.</summary>
    public static bool IsRespaced(SchedulerConfig config)
        => config.Flag("use_karras_sigmas", false) || config.Flag("use_exponential_sigmas", false) || config.Flag("use_beta_sigmas", false)
            || config.Flag("use_flow_sigmas", false);

    /// <summary>Returns the algorithm type and tau that <c>algorithm_type</c> specifies.</summary>
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

    /// <summary>Returns whether <c>solver_type</c> is "heun". The types of other schedulers are replaced by "midpoint".</summary>
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

    /// <summary>Returns the multistep solver of a configuration.</summary>
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
    /// Returns a rectified flow grid: N + 1 evenly spaced levels from 1 - 1/T to 0, shifted, without the last one. The network
    /// receives whole timesteps.
    /// </summary>
    private static TimeGrid StraightLine(SchedulerConfig config, SchedulerCall call, Func<double, double> last)
    {
        if (call.Timesteps is not null || call.Sigmas is not null)
            throw new NotSupportedException(
                $"{config.ClassName} with use_flow_sigmas supports a number of steps, but not custom timesteps or sigmas.");
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

    /// <summary>
    /// Returns the first N of N + 1 evenly spaced levels from 1 to 1/T. They are rounded in the same way as by numpy, because the
    /// whole timesteps that the network receives depend on it.
    /// </summary>
    public static double[] Falling(int total, int count)
    {
        var stride = ((1.0 / total) - 1.0) / count;
        return [.. Enumerable.Range(0, count).Select(k => 1.0 + (k * stride))];
    }

    /// <summary>
    /// Throws an exception if <c>use_flow_sigmas</c> is combined with levels of the trained schedule. diffusers uses these levels
    /// unchanged, although they have no meaning for rectified flow.
    /// </summary>
    /// <exception cref="NotSupportedException">The configuration specifies both.</exception>
    public static void RequireOneGrid(SchedulerConfig config)
    {
        foreach (var name in new[] { "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas" })
        {
            if (config.Flag(name, false))
                throw NotBoth(config, name);
        }
    }

    /// <summary>
    /// Returns the shift of rectified flow levels: by mu if <c>use_dynamic_shifting</c> is set, otherwise by <c>flow_shift</c>.
    /// </summary>
    public static TimestepShift Shift(SchedulerConfig config, SchedulerCall call)
        => config.Flag("use_dynamic_shifting", false) ? FlowSchedulers.Dynamic(config, call) : TimestepShift.Static(config.Number("flow_shift", 1.0));

    /// <summary>Returns the rectified flow grid with the given sigmas.</summary>
    public static TimeGrid Line(int total, double[] sigmas, double last)
        => new(
            new RectifiedFlowSchedule(total),
            Array.ConvertAll(sigmas, sigma => Math.Floor(sigma * total)),
            [.. sigmas.Select(Level), Level(last)]);

    private static NotSupportedException NotBoth(SchedulerConfig config, string name)
        => new($"{config.ClassName} with use_flow_sigmas and {name} is not supported.");

    private static NoiseLevel Level(double sigma) => new(1.0 - sigma, sigma);
}
