using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>The schedulers of networks that were distilled for few steps: consistency models, LCM and TCD.</summary>
internal static class DistilledSchedulers
{
    // The change of the timestep passed to the network if sigma changes by a factor of e.
    private const double TimeScale = 250.0;

    // The standard deviation of the data (sigma_data), which is a constant in diffusers.
    private const double LatentDataDeviation = 0.5;

    // The default value of eta in the step method of TCDScheduler.
    private const double TcdGamma = 0.3;

    /// <summary>Returns the schedule of a consistency model and its prediction type.</summary>
    public static (INoiseSchedule Schedule, Prediction Prediction) Trained(SchedulerConfig config)
    {
        var min = config.Number("sigma_min", 0.002);
        return (
            new EdmSchedule(min, config.Number("sigma_max", 80.0), TimeScale),
            Prediction.Consistency(config.Number("sigma_data", 0.5), min));
    }

    /// <summary>
    /// Creates the sampler of CMStochasticIterativeScheduler: N levels of a Karras grid. The last step ends at <c>sigma_min</c>.
    /// </summary>
    public static DiffusersSampler Consistency(SchedulerConfig config, SchedulerCall call)
    {
        var (min, max) = (config.Number("sigma_min", 0.002), config.Number("sigma_max", 80.0));
        var trained = SigmaSpacing.Karras(config.Number("rho", 7.0)).Ratios(TrainedSchedule.Steps(config, 40), min, max);
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

    /// <summary>Creates the sampler of LCMScheduler, for latent consistency models.</summary>
    public static DiffusersSampler Lcm(SchedulerConfig config, SchedulerCall call)
        => MappedOptions.Sampler(
            config,
            Grid(config, call, endsClean: true),
            ConsistencySolver.Latent(config.Number("timestep_scaling", 10.0), LatentDataDeviation));

    /// <summary>
    /// Creates the sampler of TCDScheduler, for trajectory consistency models. The last step ends at the noise level of index 0, and
    /// nothing is thresholded.
    /// </summary>
    public static DiffusersSampler Tcd(SchedulerConfig config, SchedulerCall call)
        => MappedOptions.Sampler(
            config,
            Grid(config, call, endsClean: false),
            new TcdSolver(call.Eta ?? TcdGamma),
            MappedOptions.Of(config) with { Threshold = Thresholding.None });

    /// <summary>
    /// Returns N indices into the trained grid, whose index 0 is the noisiest level. Custom timesteps are such indices in decreasing
    /// order, as in diffusers.
    /// </summary>
    private static int[] Indices(SchedulerConfig config, SchedulerCall call, int total)
    {
        var count = Guard.InRange(call.Count(), 1, total, "Steps");
        if (call.Sigmas is not null)
            throw new NotSupportedException($"{config.ClassName} supports custom timesteps, but not custom sigmas.");
        if (call.Timesteps is { } times)
            return [.. times.Reverse().Select(time => Guard.InRange((int)time, 0, total - 1, "Timesteps"))];
        return [.. Enumerable.Range(0, count).Select(k => k * (total / count))];
    }

    /// <summary>Returns a grid of N of the <c>original_inference_steps</c> indices at which the network was distilled.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="call">The number of steps or custom timesteps.</param>
    /// <param name="endsClean">
    /// Whether the last step ends at data without noise; otherwise it ends at the noise level of index 0.
    /// </param>
    private static TimeGrid Grid(SchedulerConfig config, SchedulerCall call, bool endsClean)
    {
        var schedule = TrainedSchedule.Of(config);
        var finalLevel = endsClean ? NoiseLevel.Clean : schedule.LevelAt(0);
        var count = call.Count();
        if (call.Sigmas is not null)
            throw new NotSupportedException($"{config.ClassName} supports custom timesteps, but not custom sigmas.");
        Guard.InRange(Guard.Positive(call.Strength), 0.0, 1.0, nameof(call.Strength));
        if (call.Timesteps is { } times)
            return call.Strength == 1.0
                ? new TimeGrid(schedule, [.. times], finalLevel)
                : throw new NotSupportedException($"{config.ClassName} supports either custom timesteps or a strength, but not both.");
        var original = call.OriginalInferenceSteps ?? config.Whole("original_inference_steps", 50);
        var stride = schedule.Steps / Guard.InRange(original, 1, schedule.Steps, "original_inference_steps");
        var used = (int)(original * call.Strength);
        Guard.InRange(count, 1, used, "Steps");

        // Evenly spaced indices from the noisiest one on, rounded down in the same way as by numpy.
        var indices = new double[count];
        for (var k = 0; k < count; k++)
            indices[k] = ((used - (int)(k * ((double)used / count))) * stride) - 1;
        return new TimeGrid(schedule, indices, finalLevel);
    }
}
