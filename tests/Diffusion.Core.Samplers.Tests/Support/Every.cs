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

    /// <summary>
    /// RMS error of x / alpha after 50 steps from sigma / alpha 10 to .05, evenly in log-SNR: what was measured, and 15 percent.
    /// </summary>
    public static IReadOnlyDictionary<string, double> DeterministicBounds { get; } = new Dictionary<string, double>
    {
        ["ddim"] = 2.5e-2,
        ["deis-1"] = 2.5e-2,
        ["dpm++(1)"] = 2.5e-2,
        ["dpm-1"] = 2.5e-2,
        ["euler"] = 2.5e-2,
        ["lms-1"] = 2.5e-2,
        ["plms of v"] = 2.4e-2,
        ["dpm-2s"] = 3.1e-3,
        ["lms-2"] = 3.0e-3,
        ["dpm++(2s)"] = 2.4e-3,
        ["unipc-1"] = 1.9e-3,
        ["flow heun"] = 1.5e-3,
        ["heun"] = 1.5e-3,
        ["dpm++(2m), heun"] = 1.3e-3,
        ["deis-2"] = 9.7e-4,
        ["dpm-2m, heun"] = 9.7e-4,
        ["dpm++(2m), lower order final"] = 8.1e-4,
        ["dpm++(2m)"] = 8.1e-4,
        ["sa(2, 2), tau 0"] = 8.0e-4,
        ["dpm++(2m), euler at final"] = 7.8e-4,
        ["dpm2"] = 7.4e-4,
        ["lms-3"] = 6.2e-4,
        ["dpm++ sde, eta 0"] = 6.0e-4,
        ["dpm-2m"] = 5.6e-4,
        ["plms"] = 3.9e-4,
        ["sa(2, 2), noise, tau 0"] = 3.3e-4,
        ["dpm-3m"] = 2.3e-4,
        ["lms-4"] = 2.2e-4,
        ["dpm++(3m)"] = 2.1e-4,
        ["unipc-2, bh1"] = 1.7e-4,
        ["unipc-2"] = 9.5e-5,
        ["unipc-2, noise"] = 9.2e-5,
        ["dpm++(3s)"] = 7.5e-5,
        ["unip-3"] = 7.5e-5,
        ["dpm++(3m), corrected"] = 7.4e-5,
        ["dpm++(3s), paper"] = 7.0e-5,
        ["dpm-3s"] = 5.8e-5,
        ["deis-4"] = 5.3e-5,
        ["deis-3, lower order final"] = 4.7e-5,
        ["deis-3"] = 4.7e-5,
        ["dpm++(3s), heun"] = 4.3e-5,
        ["unipc-3, lower order final"] = 3.2e-5,
        ["sa(3, 4), tau 0"] = 3.0e-5,
        ["unipc-3, bh1"] = 3.0e-5,
        ["unipc-3, noise, bh1"] = 1.2e-5,
        ["unipc-3"] = 6.7e-6,
        ["sa(3, 3), tau 0"] = 2.6e-6,
        ["unipc-4"] = 6.3e-7,
    };

    /// <summary>
    /// Wasserstein distance of 200 samples to the quantiles of the mixture, on the same walk; of 200 draws from the mixture itself it is .08 on
    /// average. What was measured, and 25 percent.
    /// </summary>
    public static IReadOnlyDictionary<string, double> StochasticBounds { get; } = new Dictionary<string, double>
    {
        ["ancestral, fixed large"] = 0.17,
        ["ancestral, fixed small"] = 0.13,
        ["consistency"] = 0.19,
        ["ddim, eta 0.5"] = 0.1,
        ["dpm++ sde"] = 0.12,
        ["dpm++ sde, c = 1/3"] = 0.09,
        ["dpm2 ancestral"] = 0.15,
        ["dpm2 ancestral, churn"] = 0.11,
        ["euler ancestral"] = 0.13,
        ["euler, churn"] = 0.11,
        ["heun, churn"] = 0.14,
        ["predictor-corrector"] = 0.11,
        ["predictor-corrector, lms-2"] = 0.1,
        ["sa(1, 0)"] = 0.13,
        ["sa(2, 2)"] = 0.15,
        ["sa(3, 3)"] = 0.18,
        ["sa(4, 1)"] = 0.12,
        ["sde-dpm++(1)"] = 0.13,
        ["sde-dpm++(2m)"] = 0.15,
        ["sde-dpm++(2m), heun, tau 0.5"] = 0.12,
        ["sde-dpm++(2s)"] = 0.11,
        ["sde-dpm++(3m)"] = 0.16,
        ["sde-dpm++(3m), corrected"] = 0.15,
        ["sde-dpm++(3s)"] = 0.14,
        ["tcd"] = 0.15,
    };

    /// <summary>
    /// The orders from 40 to 80 and from 80 to 160 steps of <see cref="OrderTableTests"/>. Singlestep methods of third order vary with what
    /// is left of the steps after dividing by three.
    /// </summary>
    public static IReadOnlyDictionary<string, (double Coarse, double Fine)> Orders { get; } = new Dictionary<string, (double, double)>
    {
        ["ddim"] = (1.0, 1.0),
        ["deis-1"] = (1.0, 1.0),
        ["dpm++(1)"] = (1.0, 1.0),
        ["dpm-1"] = (1.0, 1.0),
        ["euler"] = (1.0, 1.0),
        ["lms-1"] = (1.0, 1.0),
        ["plms of v"] = (0.99, 1.0),
        ["dpm-2s"] = (2.04, 2.02),
        ["lms-2"] = (1.93, 1.96),
        ["dpm++(2s)"] = (1.97, 1.99),
        ["unipc-1"] = (2.0, 2.0),
        ["flow heun"] = (2.01, 2.01),
        ["heun"] = (2.03, 2.02),
        ["dpm++(2m), heun"] = (2.03, 2.01),
        ["deis-2"] = (1.98, 1.99),
        ["dpm-2m, heun"] = (1.98, 1.99),
        ["dpm++(2m), lower order final"] = (2.01, 2.01),
        ["dpm++(2m)"] = (2.01, 2.01),
        ["sa(2, 2), tau 0"] = (2.2, 2.11),
        ["dpm++(2m), euler at final"] = (2.0, 2.0),
        ["dpm2"] = (2.02, 2.01),
        ["lms-3"] = (2.78, 2.79),
        ["dpm++ sde, eta 0"] = (1.99, 1.99),
        ["dpm-2m"] = (2.0, 2.0),
        ["plms"] = (1.99, 1.99),
        ["sa(2, 2), noise, tau 0"] = (2.38, 2.24),
        ["dpm-3m"] = (2.0, 1.99),
        ["lms-4"] = (3.23, 2.84),
        ["dpm++(3m)"] = (1.98, 1.98),
        ["unipc-2, bh1"] = (3.05, 3.02),
        ["unipc-2"] = (2.99, 3.0),
        ["unipc-2, noise"] = (3.0, 3.0),
        ["dpm++(3s)"] = (3.17, 2.34),
        ["unip-3"] = (2.38, 2.24),
        ["dpm++(3m), corrected"] = (2.37, 2.23),
        ["dpm++(3s), paper"] = (2.56, 3.29),
        ["dpm-3s"] = (3.45, 1.8),
        ["deis-4"] = (2.12, 2.07),
        ["deis-3, lower order final"] = (2.14, 2.02),
        ["deis-3"] = (2.14, 2.02),
        ["dpm++(3s), heun"] = (2.72, 2.24),
        ["unipc-3, lower order final"] = (2.27, 2.1),
        ["sa(3, 4), tau 0"] = (2.2, 2.07),
        ["unipc-3, bh1"] = (2.2, 2.07),
        ["unipc-3, noise, bh1"] = (3.63, 3.42),
        ["unipc-3"] = (4.02, 3.99),
        ["sa(3, 3), tau 0"] = (4.69, 1.79),
        ["unipc-4"] = (4.44, 4.47),
    };

    public static IReadOnlyList<Prediction> Predictions { get; } =
    [
        Prediction.Epsilon,
        Prediction.X0,
        Prediction.Velocity,
        Prediction.Score,
        Prediction.FlowVelocity,
        Prediction.PreviousMean,
        Prediction.Edm(),
        Prediction.EdmVelocity(1.0),
        Prediction.Consistency(),
    ];
}
