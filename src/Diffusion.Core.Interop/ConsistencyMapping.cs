using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>Consistency models: N of the times of a Karras grid, the last step leading to its least noise.</summary>
internal sealed class ConsistencyMapping : ISchedulerMapping
{
    // What networks are told for one e-fold of sigma.
    private const double TimeScale = 250.0;

    public string ClassName => "CMStochasticIterativeScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var (min, max) = (config.Number("sigma_min", 0.002), config.Number("sigma_max", 80.0));
        var trained = RatioSpacing.Karras(config.Number("rho", 7.0)).Ratios(config.Whole("num_train_timesteps", 40), min, max);
        var ratios = Array.ConvertAll(Indices(config, call, trained.Length), index => trained[index]);
        var grid = TimeGrid.FromRatios(new EdmSchedule(min, max, TimeScale), ratios, new NoiseLevel(1.0, min));
        return new DiffusersSampler(new DiffusionSampler(
            grid,
            new ConsistencySolver(min, config.Number("s_noise", 1.0)),
            new SamplerOptions
            {
                Prediction = Prediction.Consistency(config.Number("sigma_data", 0.5), min),
                Threshold = config.Flag("clip_denoised", true) ? Thresholding.Static(1.0) : null,
                InitialScale = max,
            }));
    }

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
}
