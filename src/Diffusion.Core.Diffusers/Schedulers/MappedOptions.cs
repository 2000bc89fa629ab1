using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// The settings that most schedulers have in common: the prediction type, thresholding, and an initial noise scale of 1.
/// </summary>
internal static class MappedOptions
{
    /// <summary>Creates a sampler with the options of a configuration.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="grid">The times to visit.</param>
    /// <param name="solver">The method for one step.</param>
    /// <param name="rederiveNoise">Whether its eps follows the thresholded x_0.</param>
    public static DiffusersSampler Sampler(
        SchedulerConfig config, TimeGrid grid, ISolver solver, bool rederiveNoise = true)
        => Sampler(config, grid, solver, Of(config, rederiveNoise));

    /// <summary>Creates a sampler with other options than those of the configuration.</summary>
    public static DiffusersSampler Sampler(SchedulerConfig config, TimeGrid grid, ISolver solver, SamplerOptions options)
        => new(new DiffusionSampler(grid, solver, options), PredictionOf(config)) { LearnsVariance = LearnsVariance(config) };

    /// <summary>Returns the options of a configuration.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="rederiveNoise">Whether its eps follows the thresholded x_0.</param>
    public static SamplerOptions Of(SchedulerConfig config, bool rederiveNoise = true) => new()
    {
        Threshold = config.Flag("thresholding", false)
            ? Dynamic(config)
            : config.Flag("clip_sample", false)
                ? Thresholding.Static(config.Number("clip_sample_range", 1.0))
                : Thresholding.None,
        RederiveNoise = rederiveNoise,
        InitialScale = 1.0,
    };

    /// <summary>Returns whether <c>variance_type</c> specifies a variance that the network predicts.</summary>
    public static bool LearnsVariance(SchedulerConfig config) => config.Text("variance_type", "fixed") is "learned" or "learned_range";

    /// <summary>Returns the <c>prediction_type</c> of a prediction.</summary>
    /// <exception cref="NotSupportedException">diffusers does not support the prediction.</exception>
    public static string TypeOf(Prediction prediction)
        => prediction == Prediction.Epsilon ? "epsilon"
            : prediction == Prediction.X0 ? "sample"
            : prediction == Prediction.Velocity ? "v_prediction"
            : throw new NotSupportedException(
                $"diffusers has no prediction_type for '{prediction.Name}'. Supported: epsilon, sample, v_prediction.");

    private static Thresholding Dynamic(SchedulerConfig config)
    {
        var most = config.Number("sample_max_value", 1.0);
        return most >= 1.0
            ? Thresholding.Dynamic(config.Number("dynamic_thresholding_ratio", 0.995), most)
            : throw new NotSupportedException(
                Invariant($"{config.ClassName} with sample_max_value {most} is not supported: it must be at least 1."));
    }

    /// <summary>Returns the prediction that <c>prediction_type</c> specifies.</summary>
    public static Prediction PredictionOf(SchedulerConfig config)
    {
        var kind = config.Text("prediction_type", "epsilon");
        return kind switch
        {
            "epsilon" => Prediction.Epsilon,
            "sample" => Prediction.X0,
            "v_prediction" => Prediction.Velocity,
            "flow_prediction" => Prediction.FlowVelocity,
            _ => throw config.Unknown("prediction_type", kind),
        };
    }
}
