using System.Text.Json.Nodes;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// diffusers' flow-matching schedulers, where alpha is 1 - s, sigma is s, and the network receives s times the number of
/// training steps. A static shift is applied to the least s twice: once when the scheduler is constructed, once with all the others.
/// </summary>
internal static class FlowSchedulers
{
    private static readonly SamplerOptions _options = new() { Threshold = Thresholding.None, InitialScale = 1.0 };

    /// <summary>The schedule that the network was trained with, and what it predicts.</summary>
    public static (INoiseSchedule Schedule, Prediction Prediction) Trained(SchedulerConfig config)
        => (new RectifiedFlowSchedule(TrainedSchedule.Steps(config)), Prediction.FlowVelocity);

    /// <summary>The settings of a FlowMatchEulerDiscreteScheduler.</summary>
    public static JsonObject Describe(RectifiedFlowSchedule schedule)
        => schedule.TimeScale >= 1.0 && schedule.TimeScale == Math.Floor(schedule.TimeScale) && schedule.Shift.Power == 1.0
            ? new JsonObject
            {
                ["_class_name"] = "FlowMatchEulerDiscreteScheduler",
                ["num_train_timesteps"] = (int)schedule.TimeScale,
                ["shift"] = schedule.Shift.Factor,
            }
            : throw new NotSupportedException(
                $"diffusers needs a whole time scale and a shift by a factor, got a time scale of {schedule.TimeScale} and a power of {schedule.Shift.Power}.");

    /// <summary>FlowMatchEulerDiscreteScheduler: Euler's method, or fresh noise at each level; inverted, from sigma 0 to 1.</summary>
    public static DiffusersSampler Euler(SchedulerConfig config, SchedulerCall call)
    {
        ISolver solver = config.Flag("stochastic_sampling", false) ? new ConsistencySolver() : new DdimSolver();
        return new DiffusersSampler(new DiffusionSampler(Grid(config, call), solver, _options), Prediction.FlowVelocity);
    }

    /// <summary>FlowMatchHeunDiscreteScheduler.</summary>
    public static DiffusersSampler Heun(SchedulerConfig config, SchedulerCall call)
        => call.SChurn > 0.0
            ? throw new NotSupportedException($"{config.ClassName} with s_churn is not supported.")
            : new(new DiffusionSampler(Grid(config, call), new FlowHeunSolver(), _options), Prediction.FlowVelocity);

    private static TimeGrid Grid(SchedulerConfig config, SchedulerCall call)
    {
        // diffusers does not use times given together with sigmas either.
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

    /// <summary>The levels, moved so that the last is <c>shift_terminal</c>, where the configuration has one.</summary>
    public static double[] Stretched(SchedulerConfig config, double[] shares)
    {
        if (config.Number("shift_terminal", 0.0) is not (var terminal and not 0.0))
            return shares;
        var stretch = (1.0 - shares[^1]) / (1.0 - terminal);
        return Array.ConvertAll(shares, share => 1.0 - ((1.0 - share) / stretch));
    }

    /// <summary>The shift by mu.</summary>
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
