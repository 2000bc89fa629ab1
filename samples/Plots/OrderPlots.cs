using System.Globalization;
using Diffusion.Core.Data;
using Diffusion.Core.Samplers;

namespace Plots;

/// <summary>Plots the errors of solvers against the number of network calls, and measures their orders of convergence.</summary>
internal static class OrderPlots
{

    private static readonly double[] _half = [0.5];
    private static readonly double[] _thirds = [1.0 / 3.0, 2.0 / 3.0];
    private static readonly int[] _toData = [10, 18, 40, 80];
    private static readonly int[] _tabulated = [40, 80, 160];
    private static readonly int[] _steps = [4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];

    /// <summary>
    /// The solvers, named as in docs/samplers.md, without reducing the order in the last steps, and the fractions of a step at which a
    /// singlestep method calls the network.
    /// </summary>
    private static readonly (string Code, ISolver Solver, double[] Fractions)[] _solvers =
    [
        ("new DdimSolver()", new DdimSolver(), []),
        ("new EulerSolver()", new EulerSolver(), []),
        ("new HeunSolver()", new HeunSolver(), []),
        ("new FlowHeunSolver()", new FlowHeunSolver(), []),
        ("new Dpm2Solver()", new Dpm2Solver(), []),
        ("new DpmPlusPlusSdeSolver(eta: 0.0)", new DpmPlusPlusSdeSolver(eta: 0.0), []),
        ("new LmsSolver(2)", new LmsSolver(2), []),
        ("new LmsSolver(3)", new LmsSolver(3), []),
        ("new LmsSolver(4)", new LmsSolver(4), []),
        ("new PndmSolver()", new PndmSolver(), []),
        ("new DeisSolver(2)", new DeisSolver(2) { LowerOrderFinal = false }, []),
        ("new DeisSolver(3)", new DeisSolver(3) { LowerOrderFinal = false }, []),
        ("new DeisSolver(4)", new DeisSolver(4) { LowerOrderFinal = false }, []),
        ("new DpmMultistepSolver(2, AlgorithmType.NoisePrediction)", new DpmMultistepSolver(2, AlgorithmType.NoisePrediction) { LowerOrderFinal = false }, []),
        ("new DpmMultistepSolver(2)", new DpmMultistepSolver(2) { LowerOrderFinal = false }, []),
        ("new DpmMultistepSolver(2) { Heun = true }", new DpmMultistepSolver(2) { Heun = true, LowerOrderFinal = false }, []),
        ("new DpmMultistepSolver(3)", new DpmMultistepSolver(3) { LowerOrderFinal = false }, []),
        ("DpmMultistepSolver.Corrected()", DpmMultistepSolver.Corrected() with { LowerOrderFinal = false }, []),
        ("DpmSinglestepSolver.Published(2, AlgorithmType.NoisePrediction)", DpmSinglestepSolver.Published(2, AlgorithmType.NoisePrediction), _half),
        ("DpmSinglestepSolver.Published(3, AlgorithmType.NoisePrediction)", DpmSinglestepSolver.Published(3, AlgorithmType.NoisePrediction), _thirds),
        ("new DpmSinglestepSolver(2)", new DpmSinglestepSolver(2), _half),
        ("new DpmSinglestepSolver(3)", new DpmSinglestepSolver(3), _thirds),
        ("new UniPcSolver(1)", new UniPcSolver(1) { LowerOrderFinal = false }, []),
        ("new UniPcSolver(2)", new UniPcSolver(2) { LowerOrderFinal = false }, []),
        ("new UniPcSolver(3)", new UniPcSolver(3) { LowerOrderFinal = false }, []),
        ("new UniPcSolver(4)", new UniPcSolver(4) { LowerOrderFinal = false }, []),
        ("new SaSolver(2, 2, noTau)", new SaSolver(2, 2, (_, _) => 0.0) { LowerOrderFinal = false }, []),
    ];

    private static readonly (string Name, string Code)[] _drawn =
    [
        ("DDIM, Euler", "new DdimSolver()"),
        ("Heun", "new HeunSolver()"),
        ("DPM-Solver-2", "new Dpm2Solver()"),
        ("LMS-4", "new LmsSolver(4)"),
        ("PLMS", "new PndmSolver()"),
        ("DPM-Solver++(2M)", "new DpmMultistepSolver(2)"),
        ("DPM-Solver++(3M), as published", "new DpmMultistepSolver(3)"),
        ("DPM-Solver++(3M), corrected", "DpmMultistepSolver.Corrected()"),
        ("DPM-Solver-3", "DpmSinglestepSolver.Published(3, AlgorithmType.NoisePrediction)"),
        ("UniPC-2", "new UniPcSolver(2)"),
        ("UniPC-3", "new UniPcSolver(3)"),
    ];

    /// <summary>Plots the error against the number of network calls.</summary>
    public static void Save(string folder)
    {
        using var experiment = new Experiment();
        LineChart.SaveSvg(
            Path.Combine(folder, "orders.svg"),
            [.. _drawn.Select(one => Line(experiment, one.Name, one.Code))],
            new LineChartOptions
            {
                Title = "Error of solvers on a mixture of Gaussians, sigma 10 to 0.05",
                XLabel = "calls of the network",
                YLabel = "root mean square error",
                LogScale = true,
                LogX = true,
            });
    }

    /// <summary>Writes the two tables of errors in docs/samplers.md.</summary>
    public static void Print(TextWriter output)
    {
        using var experiment = new Experiment();
        PrintOrders(experiment, output);
        output.WriteLine();
        PrintWalksToData(experiment, output);
    }

    private static void PrintOrders(Experiment experiment, TextWriter output)
    {
        output.WriteLine("| solver | calls per step | N = 40 | N = 80 | N = 160 | orders |");
        output.WriteLine("|---|---|---|---|---|---|");
        foreach (var (code, solver, fractions) in _solvers)
        {
            var runs = _tabulated.Select(steps => experiment.Run(solver, steps, fractions)).ToArray();
            var errors = runs.Select(run => run.Error).ToArray();
            output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| `{code}` | {Math.Round(runs[2].Calls / 160.0)} | {string.Join(" | ", errors.Select(Digits))} | "
                + $"{Math.Log2(errors[0] / errors[1]):0.00}, {Math.Log2(errors[1] / errors[2]):0.00} |"));
        }
    }

    private static void PrintWalksToData(Experiment experiment, TextWriter output)
    {
        output.WriteLine($"| solver | {string.Join(" | ", _toData.Select(steps => $"N = {steps}"))} | calls at N = {_toData[^1]} |");
        output.WriteLine($"|---|{string.Concat(_toData.Select(_ => "---|"))}---|");

        // Solvers of the noise prediction form cannot step to data without noise.
        foreach (var (code, solver, fractions) in _solvers.Where(one => !one.Code.Contains("AlgorithmType.NoisePrediction", StringComparison.Ordinal)))
        {
            var runs = _toData.Select(steps => experiment.RunToData(solver, steps, fractions)).ToArray();
            output.WriteLine($"| `{code}` | {string.Join(" | ", runs.Select(run => Digits(run.Error)))} | {runs[^1].Calls} |");
        }
    }

    private static string Digits(double error) => error.ToString("0.00e-0", CultureInfo.InvariantCulture);

    private static LineSeries Line(Experiment experiment, string name, string code)
    {
        var (_, solver, fractions) = _solvers.Single(one => one.Code == code);
        var runs = _steps
            .Select(steps => experiment.Run(solver, steps, fractions))
            .Where(run => run.Calls is >= 8 and <= 256)
            .ToArray();
        return new LineSeries(name, [.. runs.Select(run => (double)run.Calls)], [.. runs.Select(run => run.Error)]) { HasMarkers = true };
    }
}
