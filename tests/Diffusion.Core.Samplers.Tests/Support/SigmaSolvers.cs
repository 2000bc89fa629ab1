using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers.Tests.Support;

/// <summary>The solvers that are written in x / alpha over sigma / alpha.</summary>
internal static class SigmaSolvers
{
    public static IReadOnlyDictionary<string, ISolver> Deterministic { get; } = new Dictionary<string, ISolver>
    {
        ["euler"] = new EulerSolver(),
        ["heun"] = new HeunSolver(),
        ["flow heun"] = new FlowHeunSolver(),
        ["dpm2"] = new Dpm2Solver(),
        ["dpm++ sde, eta 0"] = new DpmPlusPlusSdeSolver(eta: 0.0),
        ["lms-1"] = new LmsSolver(1),
        ["lms-2"] = new LmsSolver(2),
        ["lms-3"] = new LmsSolver(3),
        ["lms-4"] = new LmsSolver(4),
    };

    public static IReadOnlyDictionary<string, ISolver> Stochastic { get; } = new Dictionary<string, ISolver>
    {
        ["euler ancestral"] = new DdimSolver(eta: 1.0, noiseScale: 1.01),
        ["dpm2 ancestral"] = new Dpm2Solver(eta: 1.0),
        ["dpm++ sde"] = new DpmPlusPlusSdeSolver(),
        ["dpm++ sde, c = 1/3"] = new DpmPlusPlusSdeSolver(eta: 0.7, fraction: 1.0 / 3.0),
        ["consistency"] = new ConsistencySolver(minRatio: 0.002),
        ["tcd"] = new TcdSolver(),
        ["predictor-corrector"] = new LangevinCorrectedSolver(new AncestralSolver(ReverseVariance.FixedLarge)),
        ["predictor-corrector, lms-2"] = new LangevinCorrectedSolver(new LmsSolver(2), snr: 0.05, corrections: 2),
    };

    /// <summary>Those that add noise before a step, and so before the last one too.</summary>
    public static IReadOnlyDictionary<string, ISolver> Churning { get; } = new Dictionary<string, ISolver>
    {
        ["euler, churn"] = new EulerSolver(new Churn { Amount = 2.0, NoiseScale = 1.003 }),
        ["heun, churn"] = new HeunSolver(new Churn { Amount = 2.0, MinRatio = 0.05, MaxRatio = 50.0 }),
        ["dpm2 ancestral, churn"] = new Dpm2Solver(eta: 0.5, churn: new Churn { Amount = 2.0 }),
    };

    public static IEnumerable<KeyValuePair<string, ISolver>> All => Deterministic.Concat(Stochastic).Concat(Churning);
}
