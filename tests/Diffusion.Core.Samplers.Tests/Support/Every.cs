using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers.Tests.Support;

/// <summary>All that can be combined.</summary>
internal static class Every
{
    public static IReadOnlyDictionary<string, ISolver> Solvers { get; } = new Dictionary<string, ISolver>(
        SigmaSolvers.All.Concat(LambdaSolvers.All))
    {
        ["ancestral, fixed small"] = new AncestralSolver(ReverseVariance.FixedSmall),
        ["ancestral, fixed large"] = new AncestralSolver(ReverseVariance.FixedLarge),
        ["ddim"] = new DdimSolver(),
        ["ddim, eta 0.5"] = new DdimSolver(0.5),
    };

    public static IReadOnlyList<IPrediction> Predictions { get; } =
    [
        Prediction.Epsilon,
        Prediction.Data,
        Prediction.Velocity,
        Prediction.Score,
        Prediction.FlowVelocity,
        Prediction.PreviousMean,
        Prediction.Edm(),
        Prediction.EdmVelocity(1.0),
        Prediction.Consistency(),
    ];
}
