using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>What the network predicts, how its x_0 is kept in range, and how strong the noise is at the start: that of N(0, I).</summary>
internal static class MappedOptions
{
    /// <param name="config">The configuration.</param>
    /// <param name="clips">Whether the scheduler clips where <c>clip_sample</c> does not say; null where it never does.</param>
    /// <param name="rederiveNoise">Whether its eps follows the thresholded x_0.</param>
    public static SamplerOptions Of(SchedulerConfig config, bool? clips = null, bool rederiveNoise = true) => new()
    {
        Prediction = PredictionOf(config),
        Threshold = config.Flag("thresholding", false)
            ? Dynamic(config)
            : clips is { } missing && config.Flag("clip_sample", missing)
                ? Thresholding.Static(config.Number("clip_sample_range", 1.0))
                : null,
        RederiveNoise = rederiveNoise,
        InitialScale = 1.0,
        HasVarianceChannels = config.Text("variance_type", "fixed") is "learned" or "learned_range",
    };

    private static IThresholding Dynamic(SchedulerConfig config)
    {
        var most = config.Number("sample_max_value", 1.0);
        return most >= 1.0
            ? Thresholding.Dynamic(config.Number("dynamic_thresholding_ratio", 0.995), most)
            : throw new NotSupportedException($"{config.ClassName} with sample_max_value {most} is not supported: it must be at least 1.");
    }

    private static IPrediction PredictionOf(SchedulerConfig config)
    {
        var kind = config.Text("prediction_type", "epsilon");
        return kind switch
        {
            "epsilon" => Prediction.Epsilon,
            "sample" => Prediction.Data,
            "v_prediction" => Prediction.Velocity,
            "flow_prediction" => Prediction.FlowVelocity,
            _ => throw config.Unknown("prediction_type", kind),
        };
    }
}
