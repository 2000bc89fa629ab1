using System.Text.Json;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers.Tests.Golden;

/// <summary>A diffusers scheduler configuration as objects of this library.</summary>
internal static class DiffusersMapping
{
    /// <summary>Null where the two samplers can do what the settings ask for, otherwise the reason why not.</summary>
    public static string? WhyNot(JsonElement settings, ReadOnlySpan<double> times)
    {
        var config = settings.GetProperty("config");
        var variance = config.Text("variance_type", "fixed_small");
        if (variance is not ("fixed_small" or "fixed_small_log" or "fixed_large"))
            return $"The variance '{variance}' is an answer of the network.";
        if (config.Text("beta_schedule", "linear") is not ("linear" or "scaled_linear" or "squaredcos_cap_v2" or "sigmoid"))
            return $"The schedule '{config.Text("beta_schedule", "linear")}' is not mapped.";
        if (Scheduler(settings) == "DDPMScheduler")
            return variance == "fixed_large" && times[^1] > 0 ? "diffusers adds noise on the step to the data; here the last step never does." : null;

        // diffusers' DDIM always steps by T div N, whatever the grid; here a step leads to the next time of the grid.
        var stride = config.Whole("num_train_timesteps", 1000) / times.Length;
        for (var k = 0; k < times.Length; k++)
        {
            var target = times[k] - stride;
            if (k + 1 < times.Length ? target != times[k + 1] : target >= 0)
                return $"diffusers' step from time {times[k]} does not lead to the next time of its grid.";
        }

        return null;
    }

    /// <summary>The name of the scheduler.</summary>
    public static string Scheduler(JsonElement settings) => settings.GetProperty("scheduler").GetString()!;

    /// <summary>The sampler that the settings describe.</summary>
    public static DiffusionSampler Create(JsonElement settings)
    {
        var config = settings.GetProperty("config");
        var arguments = settings.GetProperty("step_kwargs");
        var schedule = Schedule(config);
        var grid = Grid(settings, config, schedule);
        var options = new SamplerOptions
        {
            Prediction = config.Text("prediction_type", "epsilon") switch
            {
                "epsilon" => Prediction.Epsilon,
                "sample" => Prediction.Data,
                "v_prediction" => Prediction.Velocity,
                var other => throw new NotSupportedException($"prediction_type '{other}'"),
            },
            Threshold = config.Flag("thresholding", false)
                ? Thresholding.Dynamic(config.Number("dynamic_thresholding_ratio", 0.995), config.Number("sample_max_value", 1.0))
                : config.Flag("clip_sample", true) ? Thresholding.Static(config.Number("clip_sample_range", 1.0)) : null,
            RederiveNoise = arguments.Flag("use_clipped_model_output", false),
        };
        return Scheduler(settings) switch
        {
            "DDPMScheduler" => new AncestralSampler(
                grid, config.Text("variance_type", "fixed_small") == "fixed_large" ? ReverseVariance.FixedLarge : ReverseVariance.FixedSmall, options),
            "DDIMScheduler" => new DdimSampler(
                config.Flag("set_alpha_to_one", true) ? grid : grid.WithFinalLevel(schedule.LevelAt(0)), arguments.Number("eta", 0.0), options),
            var other => throw new NotSupportedException($"scheduler '{other}'"),
        };
    }

    private static TimeGrid Grid(JsonElement settings, JsonElement config, DiscreteSchedule schedule)
    {
        if (settings.GetProperty("set_timesteps").TryGetProperty("timesteps", out var custom))
            return new TimeGrid(schedule, custom.EnumerateArray().Select(time => time.GetDouble()).ToArray());
        ITimeSpacing spacing = config.Text("timestep_spacing", "leading") switch
        {
            "leading" => TimeSpacing.Leading(config.Whole("steps_offset", 0)),
            "trailing" => TimeSpacing.Trailing,
            "linspace" => TimeSpacing.Linspace,
            var other => throw new NotSupportedException($"timestep_spacing '{other}'"),
        };
        return spacing.CreateGrid(schedule, settings.Whole("steps", 0));
    }

    private static DiscreteSchedule Schedule(JsonElement config)
    {
        var steps = config.Whole("num_train_timesteps", 1000);
        var (start, end) = (config.Number("beta_start", 0.0001), config.Number("beta_end", 0.02));
        var schedule = config.TryGetProperty("trained_betas", out var trained) && trained.ValueKind == JsonValueKind.Array
            ? DiscreteSchedule.FromBetas(trained.EnumerateArray().Select(beta => beta.GetDouble()).ToArray())
            : config.Text("beta_schedule", "linear") switch
            {
                "linear" => DiscreteSchedule.Linear(steps, start, end),
                "scaled_linear" => DiscreteSchedule.ScaledLinear(steps, start, end),
                "squaredcos_cap_v2" => DiscreteSchedule.Cosine(steps),
                "sigmoid" => DiscreteSchedule.FromBetas(
                    Enumerable.Range(0, steps).Select(t => start + ((end - start) / (1.0 + Math.Exp(6.0 - (12.0 * t / (steps - 1)))))).ToArray()),
                var other => throw new NotSupportedException($"beta_schedule '{other}'"),
            };
        return config.Flag("rescale_betas_zero_snr", false) ? WithoutTerminalSignal(schedule) : schedule;
    }

    /// <summary>Shifts and scales sqrt(abar) so that the last is 0 and the first stays (Lin et al. 2024, Algorithm 1).</summary>
    private static DiscreteSchedule WithoutTerminalSignal(DiscreteSchedule schedule)
    {
        var (first, last) = (schedule.Alpha(0), schedule.Alpha(schedule.MaxTime));
        var betas = new double[schedule.Steps];
        var previous = 1.0;
        for (var t = 0; t < betas.Length; t++)
        {
            var bar = Math.Pow((schedule.Alpha(t) - last) * first / (first - last), 2);
            betas[t] = 1.0 - (bar / previous);
            previous = bar;
        }

        return DiscreteSchedule.FromBetas(betas);
    }

    private static string Text(this JsonElement json, string name, string missing) => json.TryGetProperty(name, out var value) ? value.GetString()! : missing;

    private static double Number(this JsonElement json, string name, double missing) => json.TryGetProperty(name, out var value) ? value.GetDouble() : missing;

    private static int Whole(this JsonElement json, string name, int missing) => json.TryGetProperty(name, out var value) ? value.GetInt32() : missing;

    private static bool Flag(this JsonElement json, string name, bool missing) => json.TryGetProperty(name, out var value) ? value.GetBoolean() : missing;
}
