using System.Text.Json.Nodes;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// The flow-matching schedulers of diffusers, where alpha is 1 - s, sigma is s, and the network receives s times the number of
/// training steps. A static shift is applied twice to the smallest s: when the scheduler is constructed, and again together with the
/// other values.
/// </summary>
internal static class FlowSchedulers
{
    private static readonly SamplerOptions _options = new() { Threshold = Thresholding.None, InitialScale = 1.0 };

    /// <summary>Returns the schedule with which the network was trained, and its prediction type.</summary>
    public static (INoiseSchedule Schedule, Prediction Prediction) Trained(SchedulerConfig config)
        => (new RectifiedFlowSchedule(TrainedSchedule.Steps(config)), Prediction.FlowVelocity);

    /// <summary>Returns the settings of a FlowMatchEulerDiscreteScheduler.</summary>
    public static JsonObject Describe(RectifiedFlowSchedule schedule)
        => schedule.TimeScale >= 1.0 && schedule.TimeScale == Math.Floor(schedule.TimeScale) && schedule.Shift.Power == 1.0
            ? new JsonObject
            {
                ["_class_name"] = "FlowMatchEulerDiscreteScheduler",
                ["num_train_timesteps"] = (int)schedule.TimeScale,
                ["shift"] = schedule.Shift.Factor,
            }
            : throw new NotSupportedException(
                "diffusers supports only whole time scales of at least 1 and shifts of power 1, "
                + Invariant($"got a time scale of {schedule.TimeScale} and a power of {schedule.Shift.Power}."));

    /// <summary>
    /// Creates the sampler of FlowMatchEulerDiscreteScheduler. A step applies Euler's method or, with <c>stochastic_sampling</c>, adds
    /// fresh noise to the predicted data. With <c>invert_sigmas</c>, sampling goes from sigma 0 to sigma 1.
    /// </summary>
    public static DiffusersSampler Euler(SchedulerConfig config, SchedulerCall call)
    {
        ISolver solver = config.Flag("stochastic_sampling", false) ? new ConsistencySolver() : new DdimSolver();
        return new DiffusersSampler(new DiffusionSampler(Grid(config, call), solver, _options), Prediction.FlowVelocity);
    }

    /// <summary>Creates the sampler of FlowMatchHeunDiscreteScheduler.</summary>
    public static DiffusersSampler Heun(SchedulerConfig config, SchedulerCall call)
        => call.SChurn > 0.0
            ? throw new NotSupportedException($"{config.ClassName} with s_churn is not supported.")
            : new(new DiffusionSampler(Grid(config, call), new FlowHeunSolver(), _options), Prediction.FlowVelocity);

    private static TimeGrid Grid(SchedulerConfig config, SchedulerCall call)
    {
        // As in diffusers, timesteps are ignored if sigmas are given.
        if (call.Sigmas is not null)
            call = call with { Timesteps = null };
        var count = call.Count();
        var total = TrainedSchedule.Steps(config);
        var isDynamic = config.Flag("use_dynamic_shifting", false);
        var shift = isDynamic ? Dynamic(config, call) : TimestepShift.Static(config.Number("shift", 1.0));
        var least = isDynamic ? 1.0 / total : shift.Apply(1.0 / total);
        var shares = call.Sigmas?.ToArray()
            ?? call.Timesteps?.Select(time => time / total).ToArray()
            ?? [.. Enumerable.Range(0, count).Select(k => count == 1 ? 1.0 : 1.0 - ((1.0 - least) * k / (count - 1)))];
        shares = Array.ConvertAll(shares, shift.Apply);
        shares = Stretched(config, shares);
        if (count > 1 && Spacing(config) is { } spacing)
            shares = spacing.Ratios(count, shares[^1], shares[0]);
        var isInverted = config.Flag("invert_sigmas", false);
        var levels = Array.ConvertAll(
            shares, share => isInverted ? new NoiseLevel(share, 1.0 - share) : new NoiseLevel(1.0 - share, share));
        return new TimeGrid(
            new RectifiedFlowSchedule(total),
            Array.ConvertAll(levels, level => level.Sigma * total),
            [.. levels, isInverted ? new NoiseLevel(0.0, 1.0) : NoiseLevel.Clean]);
    }

    /// <summary>
    /// Returns the levels, stretched so that the last one is <c>shift_terminal</c>, or unchanged if this setting is missing or 0.
    /// </summary>
    public static double[] Stretched(SchedulerConfig config, double[] shares)
    {
        if (config.Number("shift_terminal", 0.0) is not (var terminal and not 0.0))
            return shares;
        var stretch = (1.0 - shares[^1]) / (1.0 - terminal);
        return Array.ConvertAll(shares, share => 1.0 - ((1.0 - share) / stretch));
    }

    /// <summary>Returns the shift by mu.</summary>
    public static TimestepShift Dynamic(SchedulerConfig config, SchedulerCall call)
    {
        var mu = call.Mu
            ?? throw new ArgumentException($"{config.ClassName} with use_dynamic_shifting needs {nameof(SchedulerCall)}.{nameof(call.Mu)}.");
        var kind = config.Text("time_shift_type", "exponential");
        return kind switch
        {
            "exponential" => TimestepShift.Exponential(mu),
            "linear" => TimestepShift.Linear(mu),
            _ => throw config.Unknown("time_shift_type", kind),
        };
    }

    private static SigmaSpacing? Spacing(SchedulerConfig config)
        => config.Flag("use_karras_sigmas", false) ? SigmaSpacing.Karras()
            : config.Flag("use_exponential_sigmas", false) ? SigmaSpacing.Exponential()
            : config.Flag("use_beta_sigmas", false) ? SigmaSpacing.Beta()
            : null;
}
