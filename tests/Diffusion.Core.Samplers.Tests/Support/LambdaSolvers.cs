using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers.Tests.Support;

/// <summary>The solvers that are written in lambda = log(alpha / sigma), and those of the PNDM family.</summary>
internal static class LambdaSolvers
{
    /// <summary>Those that may step to data without noise, and then return the denoised value.</summary>
    public static IReadOnlyDictionary<string, ISolver> Data { get; } = new Dictionary<string, ISolver>
    {
        ["dpm++(1)"] = new DpmMultistepSolver(1),
        ["dpm++(2m)"] = new DpmMultistepSolver(2) { LowerOrderFinal = false },
        ["dpm++(2m), lower order final"] = new DpmMultistepSolver(2),
        ["dpm++(2m), euler at final"] = new DpmMultistepSolver(2) { EulerAtFinal = true, LowerOrderFinal = false },
        ["dpm++(2m), heun"] = new DpmMultistepSolver(2) { Heun = true, LowerOrderFinal = false },
        ["dpm++(3m)"] = new DpmMultistepSolver(3) { Heun = true, LowerOrderFinal = false },
        ["dpm++(3m), corrected"] = DpmMultistepSolver.Corrected() with { LowerOrderFinal = false },
        ["dpm++(2s)"] = new DpmSinglestepSolver(2),
        ["dpm++(3s)"] = new DpmSinglestepSolver(3),
        ["dpm++(3s), heun"] = new DpmSinglestepSolver(3) { Heun = true },
        ["dpm++(3s), paper"] = DpmSinglestepSolver.Published(3),
        ["unipc-1"] = new UniPcSolver(1) { LowerOrderFinal = false },
        ["unipc-2"] = new UniPcSolver(2) { LowerOrderFinal = false },
        ["unipc-3"] = new UniPcSolver(3) { LowerOrderFinal = false },
        ["unipc-4"] = new UniPcSolver(4) { LowerOrderFinal = false },
        ["unipc-3, lower order final"] = new UniPcSolver(3),
        ["unipc-2, bh1"] = new UniPcSolver(2, b: UniPcSolver.Bh1) { LowerOrderFinal = false },
        ["unipc-3, bh1"] = new UniPcSolver(3, b: UniPcSolver.Bh1),
        ["unip-3"] = new UniPcSolver(3, corrects: _ => false) { LowerOrderFinal = false },
        ["sa(2, 2), tau 0"] = new SaSolver(2, 2, (_, _) => 0.0) { LowerOrderFinal = false },
        ["sa(3, 3), tau 0"] = new SaSolver(3, 3, (_, _) => 0.0) { LowerOrderFinal = false },
        ["sa(3, 4), tau 0"] = new SaSolver(3, 4, (_, _) => 0.0),
    };

    /// <summary>Those in eps, which stop short of that.</summary>
    public static IReadOnlyDictionary<string, ISolver> Noise { get; } = new Dictionary<string, ISolver>
    {
        ["dpm-1"] = new DpmMultistepSolver(1, AlgorithmType.NoisePrediction),
        ["dpm-2m"] = new DpmMultistepSolver(2, AlgorithmType.NoisePrediction) { LowerOrderFinal = false },
        ["dpm-2m, heun"] = new DpmMultistepSolver(2, AlgorithmType.NoisePrediction) { Heun = true, LowerOrderFinal = false },
        ["dpm-3m"] = new DpmMultistepSolver(3, AlgorithmType.NoisePrediction) { LowerOrderFinal = false },
        ["dpm-2s"] = DpmSinglestepSolver.Published(2, AlgorithmType.NoisePrediction),
        ["dpm-3s"] = DpmSinglestepSolver.Published(3, AlgorithmType.NoisePrediction),
        ["unipc-2, noise"] = new UniPcSolver(2, AlgorithmType.NoisePrediction) { LowerOrderFinal = false },
        ["unipc-3, noise, bh1"] = new UniPcSolver(3, AlgorithmType.NoisePrediction, UniPcSolver.Bh1) { LowerOrderFinal = false },
        ["sa(2, 2), noise, tau 0"] = new SaSolver(2, 2, (_, _) => 0.0, AlgorithmType.NoisePrediction) { LowerOrderFinal = false },
    };

    /// <summary>Those in eps that integrate to the end all the same, with what their extrapolation makes of it.</summary>
    public static IReadOnlyDictionary<string, ISolver> Extrapolating { get; } = new Dictionary<string, ISolver>
    {
        ["deis-1"] = new DeisSolver(1) { LowerOrderFinal = false },
        ["deis-2"] = new DeisSolver(2) { LowerOrderFinal = false },
        ["deis-3"] = new DeisSolver(3) { LowerOrderFinal = false },
        ["deis-4"] = new DeisSolver(4) { LowerOrderFinal = false },
        ["deis-3, lower order final"] = new DeisSolver(3),
        ["plms"] = new PndmSolver(),
        ["plms of v"] = new PndmSolver(quantity: Prediction.Velocity),
    };

    /// <summary>Those that draw.</summary>
    public static IReadOnlyDictionary<string, ISolver> Stochastic { get; } = new Dictionary<string, ISolver>
    {
        ["sde-dpm++(1)"] = new DpmMultistepSolver(1, tau: 1.0),
        ["sde-dpm++(2m)"] = new DpmMultistepSolver(2, tau: 1.0),
        ["sde-dpm++(2m), heun, tau 0.5"] = new DpmMultistepSolver(2, tau: 0.5) { Heun = true },
        ["sde-dpm++(3m)"] = new DpmMultistepSolver(3, tau: 1.0),
        ["sde-dpm++(3m), corrected"] = DpmMultistepSolver.Corrected(tau: 1.0),
        ["sde-dpm++(2s)"] = new DpmSinglestepSolver(2, tau: 1.0),
        ["sde-dpm++(3s)"] = new DpmSinglestepSolver(3, tau: 1.0) { Heun = true },
        ["sa(1, 0)"] = new SaSolver(1, 0, (_, _) => 1.0),
        ["sa(2, 2)"] = new SaSolver(2, 2, (_, _) => 1.0),
        ["sa(3, 3)"] = new SaSolver(3, 3),
        ["sa(4, 1)"] = new SaSolver(4, 1, (_, level) => level.NoiseToSignalRatio < 1.0 ? 1.0 : 0.3),
    };

    /// <summary>Those that reach data without noise.</summary>
    public static IReadOnlyDictionary<string, ISolver> ReachingData { get; } =
        Data.Concat(Extrapolating).Concat(Stochastic).ToDictionary(pair => pair.Key, pair => pair.Value);

    /// <summary>Those that draw nothing.</summary>
    public static IReadOnlyDictionary<string, ISolver> Deterministic { get; } =
        Data.Concat(Noise).Concat(Extrapolating).ToDictionary(pair => pair.Key, pair => pair.Value);

    public static IReadOnlyDictionary<string, ISolver> All { get; } =
        Deterministic.Concat(Stochastic).ToDictionary(pair => pair.Key, pair => pair.Value);
}
