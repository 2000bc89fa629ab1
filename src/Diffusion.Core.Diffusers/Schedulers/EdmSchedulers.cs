using System.Text.Json.Nodes;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>The schedulers with the noise schedule and the grid of EDM, for networks with the preconditioning of EDM.</summary>
internal static class EdmSchedulers
{
    /// <summary>Returns the settings of an EDMEulerScheduler.</summary>
    public static JsonObject Describe(Prediction prediction, EdmSchedule schedule)
    {
        var type = prediction.Name == Prediction.Edm().Name ? "epsilon"
            : prediction.Name == Prediction.EdmVelocity().Name ? "v_prediction"
            : throw new NotSupportedException(
                $"diffusers' EDM schedulers need a network with EDM preconditioning, got the prediction '{prediction.Name}'.");
        if (schedule.TimeScale != 0.25)
            throw new NotSupportedException(
                Invariant($"diffusers' EDM schedulers pass 0.25 log(sigma) to the network, got {schedule.TimeScale} log(sigma)."));
        return new JsonObject
        {
            ["_class_name"] = "EDMEulerScheduler",
            ["sigma_min"] = schedule.SigmaMin,
            ["sigma_max"] = schedule.SigmaMax,
            ["sigma_data"] = prediction.Parameters["sigma_data"],
            ["prediction_type"] = type,
        };
    }

    /// <summary>Creates the sampler of EDMEulerScheduler.</summary>
    public static DiffusersSampler Euler(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, Grid(config, call), new EulerSolver(SigmaSchedulers.ChurnOf(call)));

    /// <summary>Creates the sampler of EDMDPMSolverMultistepScheduler: DPM-Solver++.</summary>
    public static DiffusersSampler DpmMultistep(SchedulerConfig config, SchedulerCall call)
        => Sampler(config, Grid(config, call, endsAtLeast: true), DpmFamily.Multistep(config));

    /// <summary>Returns the grid of a configuration.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="call">The number of steps.</param>
    /// <param name="endsAtLeast">
    /// Whether the final level "sigma_min" is the setting <c>sigma_min</c>, rather than the sigma of the last step. The two can differ
    /// if N is 1.
    /// </param>
    private static TimeGrid Grid(SchedulerConfig config, SchedulerCall call, bool endsAtLeast = false)
    {
        if (call.Timesteps is not null || call.Sigmas is not null)
            throw new NotSupportedException($"{config.ClassName} with custom times or sigmas is not supported.");
        var (min, max) = (config.Number("sigma_min", 0.002), config.Number("sigma_max", 80.0));
        var kind = config.Text("sigma_schedule", "karras");
        var spacing = kind switch
        {
            "karras" => SigmaSpacing.Karras(config.Number("rho", 7.0)),
            "exponential" => SigmaSpacing.Exponential(),
            _ => throw config.Unknown("sigma_schedule", kind),
        };
        var ratios = spacing.Ratios(call.Count(), min, max);
        if (kind == "exponential" && ratios.Length == 1)
            ratios[0] = min; // In diffusers, a single exponential step starts at sigma_min.
        var end = config.Text("final_sigmas_type", "zero");
        return TimeGrid.FromSigmas(new EdmSchedule(min, max), ratios, end switch
        {
            "zero" => NoiseLevel.Clean,
            "sigma_min" => new NoiseLevel(1.0, endsAtLeast ? Math.Min(min, ratios[^1]) : ratios[^1]),
            _ => throw config.Unknown("final_sigmas_type", end),
        });
    }

    /// <summary>Returns the schedule with which the network was trained, and its prediction type.</summary>
    public static (INoiseSchedule Schedule, Prediction Prediction) Trained(SchedulerConfig config)
    {
        var (kind, deviation) = (config.Text("prediction_type", "epsilon"), config.Number("sigma_data", 0.5));
        return (
            new EdmSchedule(config.Number("sigma_min", 0.002), config.Number("sigma_max", 80.0)),
            kind switch
            {
                "epsilon" => Prediction.Edm(deviation),
                "v_prediction" => Prediction.EdmVelocity(deviation),
                _ => throw config.Unknown("prediction_type", kind),
            });
    }

    private static DiffusersSampler Sampler(SchedulerConfig config, TimeGrid grid, ISolver solver)
    {
        var options = MappedOptions.Of(config) with
        {
            InitialScale = Math.Sqrt(Math.Pow(config.Number("sigma_max", 80.0), 2) + 1.0),
        };
        return new DiffusersSampler(new DiffusionSampler(grid, solver, options), Trained(config).Prediction);
    }
}
