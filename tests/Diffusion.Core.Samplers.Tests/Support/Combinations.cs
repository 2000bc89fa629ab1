using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers.Tests.Support;

/// <summary>The named choices that theories run every combination of.</summary>
internal static class Combinations
{
    public static IReadOnlyDictionary<string, DiscreteSchedule> Schedules { get; } = new Dictionary<string, DiscreteSchedule>
    {
        ["linear"] = DiscreteSchedule.Linear(),
        ["scaled linear"] = DiscreteSchedule.ScaledLinear(),
        ["cosine"] = DiscreteSchedule.Cosine(),
        ["linear, 100 steps"] = DiscreteSchedule.Linear(100, 1e-3, 0.2),
    };

    public static IReadOnlyDictionary<string, TimeSpacing> Spacings { get; } = new Dictionary<string, TimeSpacing>
    {
        ["leading"] = TimeSpacing.Leading(),
        ["leading, offset 1"] = TimeSpacing.Leading(1),
        ["trailing"] = TimeSpacing.Trailing,
        ["linspace"] = TimeSpacing.Linspace,
    };

    public static IReadOnlyDictionary<string, Prediction> Predictions { get; } = new Dictionary<string, Prediction>
    {
        ["epsilon"] = Prediction.Epsilon,
        ["data"] = Prediction.X0,
        ["velocity"] = Prediction.Velocity,
        ["previous mean"] = Prediction.PreviousMean,
    };

    public static IReadOnlyDictionary<string, ISolver> Solvers { get; } = new Dictionary<string, ISolver>(SigmaSolvers.All)
    {
        ["ancestral, fixed small"] = new AncestralSolver(ReverseVariance.FixedSmall),
        ["ancestral, fixed large"] = new AncestralSolver(ReverseVariance.FixedLarge),
        ["ddim, eta 0"] = new DdimSolver(0.0),
        ["ddim, eta 0.5"] = new DdimSolver(0.5),
        ["ddim, eta 1"] = new DdimSolver(1.0),
    };

    public static IReadOnlyDictionary<string, Thresholding> Thresholds { get; } = new Dictionary<string, Thresholding>
    {
        ["none"] = Thresholding.None,
        ["static"] = Thresholding.Static(0.8),
        ["dynamic"] = Thresholding.Dynamic(0.7, 1.2),
    };
}
