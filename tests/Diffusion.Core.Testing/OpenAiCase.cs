using System.Text.Json;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Testing;

/// <summary>The settings of improved-diffusion's reference cases, as objects of this library.</summary>
public static class OpenAiCase
{
    public static DiscreteSchedule Schedule(JsonElement settings)
    {
        var steps = settings.GetProperty("T").GetInt32();
        var scale = 1000.0 / steps;
        return settings.GetProperty("schedule").GetString() switch
        {
            "linear" => DiscreteSchedule.Linear(steps, scale * 1e-4, scale * 0.02),
            "cosine" => DiscreteSchedule.Cosine(steps),
            var other => throw new NotSupportedException($"schedule '{other}'"),
        };
    }

    public static IPrediction Mean(JsonElement settings) => settings.GetProperty("mean").GetString() switch
    {
        "EPSILON" => Prediction.Epsilon,
        "START_X" => Prediction.Data,
        "PREVIOUS_X" => Prediction.PreviousMean,
        var other => throw new NotSupportedException($"mean '{other}'"),
    };

    public static IReverseVariance Variance(JsonElement settings) => settings.GetProperty("var").GetString() switch
    {
        "FIXED_SMALL" => ReverseVariance.FixedSmall,
        "FIXED_LARGE" => ReverseVariance.FixedLarge,
        "LEARNED" => new LearnedVariance(),
        "LEARNED_RANGE" => new LearnedRangeVariance(),
        var other => throw new NotSupportedException($"variance '{other}'"),
    };

    /// <summary>The network says the log variance itself.</summary>
    public sealed class LearnedVariance : IReverseVariance
    {
        public string Name => "learned";

        public bool IsLearned => true;

        public LinearPair LogVariance(ReverseTransition transition) => new(0.0, 1.0);
    }

    /// <summary>The network says where between the two fixed log variances to be, from -1 to 1 (Nichol and Dhariwal 2021, eq. 15).</summary>
    public sealed class LearnedRangeVariance : IReverseVariance
    {
        public string Name => "learned-range";

        public bool IsLearned => true;

        public LinearPair LogVariance(ReverseTransition transition)
        {
            var (low, high) = (Math.Log(transition.ClippedPosteriorVariance), Math.Log(transition.ForwardVariance));
            return new LinearPair((high + low) / 2.0, (high - low) / 2.0);
        }
    }
}
