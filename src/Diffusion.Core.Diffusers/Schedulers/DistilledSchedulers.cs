using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>The schedulers of networks that were distilled at few times: consistency models, LCM and TCD.</summary>
internal static class DistilledSchedulers
{
    // What networks receive for one e-fold of sigma.
    private const double TimeScale = 250.0;

    // Fixed in diffusers, not a setting.
    private const double LatentDataDeviation = 0.5;

    // The default of TCD's step in diffusers.
    private const double TcdGamma = 0.3;

    /// <summary>The schedule that a consistency model was trained with, and what it predicts.</summary>
    public static (INoiseSchedule Schedule, Prediction Prediction) Trained(SchedulerConfig config)
    {
        var min = config.Number("sigma_min", 0.002);
        return (
            new EdmSchedule(min, config.Number("sigma_max", 80.0), TimeScale),
            Prediction.Consistency(config.Number("sigma_data", 0.5), min));
    }

    /// <summary>CMStochasticIterativeScheduler: N of the times of a Karras grid, the last step leading to its least noise.</summary>
    public static DiffusersSampler Consistency(SchedulerConfig config, SchedulerCall call)
    {
        var (min, max) = (config.Number("sigma_min", 0.002), config.Number("sigma_max", 80.0));
        var trained = SigmaSpacing.Karras(config.Number("rho", 7.0)).Ratios(config.Whole("num_train_timesteps", 40), min, max);
        var ratios = Array.ConvertAll(Indices(config, call, trained.Length), index => trained[index]);
        var grid = TimeGrid.FromSigmas(new EdmSchedule(min, max, TimeScale), ratios, new NoiseLevel(1.0, min));
        var options = new SamplerOptions
        {
            Threshold = config.Flag("clip_denoised", true) ? Thresholding.Static(1.0) : Thresholding.None,
            InitialScale = max,
        };
        return new DiffusersSampler(
            new DiffusionSampler(grid, new ConsistencySolver(min, config.Number("s_noise", 1.0)), options),
            Prediction.Consistency(config.Number("sigma_data", 0.5), min));
    }

    /// <summary>LCMScheduler: latent consistency models.</summary>
    public static DiffusersSampler Lcm(SchedulerConfig config, SchedulerCall call)
        => MappedOptions.Sampler(
            config,
            Grid(config, call, endsClean: true),
            ConsistencySolver.Latent(config.Number("timestep_scaling", 10.0), LatentDataDeviation));

    /// <summary>TCDScheduler: trajectory consistency models. The last step leads to index 0, and leaves its noise. Nothing is thresholded.</summary>
    public static DiffusersSampler Tcd(SchedulerConfig config, SchedulerCall call)
        => MappedOptions.Sampler(
            config,
            Grid(config, call, endsClean: false),
            new TcdSolver(call.Eta ?? TcdGamma),
            MappedOptions.Of(config) with { Threshold = Thresholding.None });

    /// <summary>Indices into the trained grid, from its noisiest level on; those of a call count from its other end.</summary>
    private static int[] Indices(SchedulerConfig config, SchedulerCall call, int total)
    {
        var count = Guard.InRange(call.Count(), 1, total, "Steps");
        if (call.Sigmas is not null)
            throw new NotSupportedException($"{config.ClassName} takes times, not sigmas.");
        if (call.Timesteps is { } times)
            return [.. times.Reverse().Select(time => Guard.InRange((int)time, 0, total - 1, "Timesteps"))];
        return [.. Enumerable.Range(0, count).Select(k => k * (total / count))];
    }

    /// <summary>N of the <c>original_inference_steps</c> indices that LCM and TCD were distilled at.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="call">N, or custom times.</param>
    /// <param name="endsClean">Whether the last step leads to data without noise; otherwise to index 0.</param>
    private static TimeGrid Grid(SchedulerConfig config, SchedulerCall call, bool endsClean)
    {
        var schedule = TrainedSchedule.Of(config);
        var finalLevel = endsClean ? NoiseLevel.Clean : schedule.LevelAt(0);
        var count = call.Count();
        if (call.Sigmas is not null)
            throw new NotSupportedException($"{config.ClassName} takes times, not sigmas.");
        Guard.InRange(Guard.Positive(call.Strength), 0.0, 1.0, nameof(call.Strength));
        if (call.Timesteps is { } times)
            return call.Strength == 1.0
                ? new TimeGrid(schedule, [.. times], finalLevel)
                : throw new NotSupportedException($"{config.ClassName} takes custom times or a strength, not both.");
        var original = call.OriginalInferenceSteps ?? config.Whole("original_inference_steps", 50);
        var stride = schedule.Steps / Guard.InRange(original, 1, schedule.Steps, "original_inference_steps");
        var used = (int)(original * call.Strength);
        Guard.InRange(count, 1, used, "Steps");

        // Even indices from the noisiest one on, rounded down as numpy does it.
        var indices = new double[count];
        for (var k = 0; k < count; k++)
            indices[k] = ((used - (int)(k * ((double)used / count))) * stride) - 1;
        return new TimeGrid(schedule, indices, finalLevel);
    }
}
