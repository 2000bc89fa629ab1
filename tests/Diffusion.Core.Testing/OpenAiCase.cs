using System.Text.Json;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Testing;

/// <summary>The settings of improved-diffusion's reference cases, as objects of this library.</summary>
public static class OpenAiCase
{
    public static DiscreteSchedule Schedule(JsonElement settings)
    {
        var steps = settings.GetProperty("T").GetInt32();
        return settings.GetProperty("schedule").GetString() switch
        {
            "linear" => DiscreteSchedule.LinearScaledBySteps(steps),
            "cosine" => DiscreteSchedule.Cosine(steps),
            var other => throw new NotSupportedException($"schedule '{other}'"),
        };
    }

    public static Prediction Mean(JsonElement settings) => settings.GetProperty("mean").GetString() switch
    {
        "EPSILON" => Prediction.Epsilon,
        "START_X" => Prediction.X0,
        "PREVIOUS_X" => Prediction.PreviousMean,
        var other => throw new NotSupportedException($"mean '{other}'"),
    };

    public static ReverseVariance Variance(JsonElement settings) => settings.GetProperty("var").GetString() switch
    {
        "FIXED_SMALL" => ReverseVariance.FixedSmall,
        "FIXED_LARGE" => ReverseVariance.FixedLarge,
        "LEARNED" => ReverseVariance.Learned,
        "LEARNED_RANGE" => ReverseVariance.LearnedRange,
        var other => throw new NotSupportedException($"variance '{other}'"),
    };
}
