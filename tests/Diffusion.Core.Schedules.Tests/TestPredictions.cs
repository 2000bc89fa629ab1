namespace Diffusion.Core.Schedules.Tests;

/// <summary>Every prediction that the library offers, by name.</summary>
public static class TestPredictions
{
    private static readonly Dictionary<string, Prediction> Table = new(StringComparer.Ordinal)
    {
        ["epsilon"] = Prediction.Epsilon,
        ["x0"] = Prediction.X0,
        ["velocity"] = Prediction.Velocity,
        ["score"] = Prediction.Score,
        ["flow-velocity"] = Prediction.FlowVelocity,
        ["previous-mean"] = Prediction.PreviousMean,
        ["edm"] = Prediction.Edm(),
        ["edm-velocity"] = Prediction.EdmVelocity(1.2),
        ["consistency"] = Prediction.Consistency(),
    };

    public static IEnumerable<string> Names => Table.Keys;

    public static IEnumerable<Prediction> All => Table.Values;

    public static Prediction Named(string name) => Table[name];

    /// <summary>False where there is nothing for the network to say: a score without noise, a consistency model at its boundary.</summary>
    public static bool HasTarget(Prediction prediction, NoiseLevel level) => prediction.Name switch
    {
        "score" => level.Sigma > 0.0,
        "consistency" => level.Sigma != 0.002 * level.Alpha,
        _ => true,
    };

    /// <summary>False where nothing of the data is left and the network spoke of the noise.</summary>
    public static bool DeterminesData(Prediction prediction, NoiseLevel level)
        => level.Alpha > 0.0 || prediction.Name is not ("epsilon" or "score");

    /// <summary>False where there is no noise and the network spoke of the data: eps is then taken as zero.</summary>
    public static bool DeterminesNoise(Prediction prediction, NoiseLevel level)
        => level.Sigma > 0.0 || prediction.Name is not ("x0" or "consistency");
}
