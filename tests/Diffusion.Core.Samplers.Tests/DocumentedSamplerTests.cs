using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>The tables of docs/samplers.md: no number that is not measured, and no member that is left out.</summary>
public sealed class DocumentedSamplerTests
{
    private static readonly string[] _lines = File.ReadAllLines(Path.Combine(TestData.Root, "docs", "samplers.md"));
    private static readonly double[] _half = [0.5];
    private static readonly double[] _thirds = [1.0 / 3.0, 2.0 / 3.0];

    private static readonly Dictionary<string, (ISolver Solver, double[] Fractions)> _solvers = new(StringComparer.Ordinal)
    {
        ["new DdimSolver()"] = (new DdimSolver(), []),
        ["new EulerSolver()"] = (new EulerSolver(), []),
        ["new HeunSolver()"] = (new HeunSolver(), []),
        ["new FlowHeunSolver()"] = (new FlowHeunSolver(), []),
        ["new Dpm2Solver()"] = (new Dpm2Solver(), []),
        ["new DpmPlusPlusSdeSolver(eta: 0.0)"] = (new DpmPlusPlusSdeSolver(eta: 0.0), []),
        ["new LmsSolver(2)"] = (new LmsSolver(2), []),
        ["new LmsSolver(3)"] = (new LmsSolver(3), []),
        ["new LmsSolver(4)"] = (new LmsSolver(4), []),
        ["new PndmSolver()"] = (new PndmSolver(), []),
        ["new DeisSolver(2)"] = (new DeisSolver(2) { LowerOrderFinal = false }, []),
        ["new DeisSolver(3)"] = (new DeisSolver(3) { LowerOrderFinal = false }, []),
        ["new DeisSolver(4)"] = (new DeisSolver(4) { LowerOrderFinal = false }, []),
        ["new DpmMultistepSolver(2, AlgorithmType.NoisePrediction)"] = (new DpmMultistepSolver(2, AlgorithmType.NoisePrediction) { LowerOrderFinal = false }, []),
        ["new DpmMultistepSolver(2)"] = (new DpmMultistepSolver(2) { LowerOrderFinal = false }, []),
        ["new DpmMultistepSolver(2) { Heun = true }"] = (new DpmMultistepSolver(2) { Heun = true, LowerOrderFinal = false }, []),
        ["new DpmMultistepSolver(3)"] = (new DpmMultistepSolver(3) { LowerOrderFinal = false }, []),
        ["DpmMultistepSolver.Corrected()"] = (DpmMultistepSolver.Corrected() with { LowerOrderFinal = false }, []),
        ["DpmSinglestepSolver.Published(2, AlgorithmType.NoisePrediction)"] = (DpmSinglestepSolver.Published(2, AlgorithmType.NoisePrediction), _half),
        ["DpmSinglestepSolver.Published(3, AlgorithmType.NoisePrediction)"] = (DpmSinglestepSolver.Published(3, AlgorithmType.NoisePrediction), _thirds),
        ["new DpmSinglestepSolver(2)"] = (new DpmSinglestepSolver(2), _half),
        ["new DpmSinglestepSolver(3)"] = (new DpmSinglestepSolver(3), _thirds),
        ["new UniPcSolver(1)"] = (new UniPcSolver(1) { LowerOrderFinal = false }, []),
        ["new UniPcSolver(2)"] = (new UniPcSolver(2) { LowerOrderFinal = false }, []),
        ["new UniPcSolver(3)"] = (new UniPcSolver(3) { LowerOrderFinal = false }, []),
        ["new UniPcSolver(4)"] = (new UniPcSolver(4) { LowerOrderFinal = false }, []),
        ["new SaSolver(2, 2, noTau)"] = (new SaSolver(2, 2, (_, _) => 0.0) { LowerOrderFinal = false }, []),
    };

    private static readonly Dictionary<string, (TimeSpacing Spacing, INoiseSchedule Schedule)> _grids = new(StringComparer.Ordinal)
    {
        ["TimeSpacing.Trailing"] = (TimeSpacing.Trailing, DiscreteSchedule.ScaledLinear()),
        ["TimeSpacing.Leading(1)"] = (TimeSpacing.Leading(1), DiscreteSchedule.ScaledLinear()),
        ["TimeSpacing.Linspace"] = (TimeSpacing.Linspace, DiscreteSchedule.ScaledLinear()),
        ["SigmaSpacing.Karras()"] = (SigmaSpacing.Karras(), DiscreteSchedule.ScaledLinear()),
        ["SigmaSpacing.Exponential()"] = (SigmaSpacing.Exponential(), DiscreteSchedule.ScaledLinear()),
        ["SigmaSpacing.Beta()"] = (SigmaSpacing.Beta(), DiscreteSchedule.ScaledLinear()),
        ["AlignYourSteps.StableDiffusion15"] = (AlignYourSteps.StableDiffusion15, DiscreteSchedule.ScaledLinear()),
        ["AlignYourSteps.StableDiffusionXL"] = (AlignYourSteps.StableDiffusionXL, DiscreteSchedule.ScaledLinear()),
        ["AlignYourSteps.StableVideoDiffusion"] = (AlignYourSteps.StableVideoDiffusion, new EdmSchedule(0.002, 700.0)),
        ["ScheduleTimeSpacing.Uniform()"] = (ScheduleTimeSpacing.Uniform(), new RectifiedFlowSchedule()),
        ["ScheduleTimeSpacing.Quadratic()"] = (ScheduleTimeSpacing.Quadratic(), new RectifiedFlowSchedule()),
        ["ScheduleTimeSpacing.Shifted(3.0)"] = (ScheduleTimeSpacing.Shifted(3.0), new RectifiedFlowSchedule()),
    };

    public static TheoryData<string> Solvers => [.. _solvers.Keys];

    public static TheoryData<string> Grids => [.. _grids.Keys];

    [Theory]
    [MemberData(nameof(Solvers))]
    public void Errors_and_orders_of_a_solver_are_those_measured(string code)
    {
        var (solver, fractions) = _solvers[code];
        var schedule = new LogSigmaSchedule(preservesVariance: false);
        TimeGrid Grid(int steps) => Adapt(solver, schedule.Grid(steps), fractions);
        var errors = Array.ConvertAll([40, 80, 160], steps => ProbabilityFlow.Error(solver, Grid(steps)));

        // calls | 40 | 80 | 160 | order, order
        var cells = Rows(code).Single(row => row.Length == 6 && row[^1].Contains(", ", StringComparison.Ordinal))[1..];
        ShouldAgree(cells[1..4], errors);
        ShouldAgree(cells[4].Split(", "), [Math.Log2(errors[0] / errors[1]), Math.Log2(errors[1] / errors[2])], absolute: 0.011);
        cells[0].Should().Be(Text(Math.Round(Calls(solver, Grid(160)) / 160.0)));
    }

    [Theory]
    [MemberData(nameof(Solvers))]
    public void Errors_on_the_way_to_data_are_those_measured(string code)
    {
        var (solver, fractions) = _solvers[code];
        var rows = Rows(code).Where(row => row.Length == 6 && !row[^1].Contains(',')).ToArray();
        if (code.Contains("AlgorithmType.NoisePrediction", StringComparison.Ordinal))
        {
            rows.Should().BeEmpty("the noise form does not reach data without noise");
            return;
        }

        TimeGrid Grid(int steps) => Adapt(solver, SigmaSpacing.Karras().CreateGrid(new EdmSchedule(0.002, 10.0), steps), fractions);
        var cells = rows.Single()[1..];
        ShouldAgree(cells[..4], Array.ConvertAll([10, 18, 40, 80], steps => ProbabilityFlow.Error(solver, Grid(steps))));
        cells[4].Should().Be(Text(Calls(solver, Grid(80))));
    }

    [Theory]
    [MemberData(nameof(Grids))]
    public void Levels_of_a_grid_are_those_measured(string code)
    {
        var (spacing, schedule) = _grids[code];
        var grid = spacing.CreateGrid(schedule, 20);

        Rows(code).Single()[2].Should().Be($"{Text(grid.Levels[0].NoiseToSignalRatio, "G4")} to {Text(grid.Levels[19].NoiseToSignalRatio, "G4")}");
    }

    [Theory]
    [InlineData("`AncestralSolver`, `FixedSmall`; `DdimSolver`, eta 1")]
    [InlineData("`AncestralSolver`, `FixedLarge`")]
    [InlineData("`DdimSolver`, eta 0")]
    public void Deviations_are_those_measured(string name)
    {
        ISolver solver = name.Contains("FixedSmall", StringComparison.Ordinal) ? new AncestralSolver()
            : name.Contains("FixedLarge", StringComparison.Ordinal) ? new AncestralSolver(ReverseVariance.FixedLarge)
            : new DdimSolver();
        var cells = Rows(name, isCode: false).Single()[1..];

        cells.Should().Equal(Array.ConvertAll(
            [10, 20, 50, 100, 250, 1000],
            steps => Text(GaussianMoments.Of(solver, TimeSpacing.Trailing.CreateGrid(DiscreteSchedule.Linear(), steps)).Deviation, "F4")));
    }

    [Fact]
    public void No_solver_sampler_grid_threshold_noise_or_guidance_is_left_out()
    {
        const BindingFlags Static = BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly;
        Type[] contracts =
        [
            typeof(ISolver), typeof(ISampler), typeof(IOdeSolver), typeof(IDenoiser), typeof(INoiseSource), typeof(Thresholding),
            typeof(TimeSpacing),
        ];
        Type[] factories =
        [
            typeof(TimeSpacing), typeof(SigmaSpacing), typeof(ScheduleTimeSpacing), typeof(AlignYourSteps), typeof(IpndmGrid),
            typeof(TimeGridExtensions), typeof(Guidance), typeof(Thresholding), typeof(Interpolation), typeof(AlgorithmType),
        ];
        var exported = typeof(ISolver).Assembly.GetExportedTypes();
        var made = exported.Where(typeof(ISolver).IsAssignableFrom).SelectMany(type => type.GetMethods(Static));
        var classes = exported
            .Where(type => type is { IsClass: true, IsAbstract: false } && contracts.Any(contract => contract.IsAssignableFrom(type)))
            .Select(type => type.Name);
        var members = factories.SelectMany(type => type.GetMembers(Static))
            .Concat(typeof(GuidanceOptions).GetProperties())
            .Concat(made.Where(method => typeof(ISolver).IsAssignableFrom(method.ReturnType)))
            .Where(member => member is MethodInfo { IsSpecialName: false } or PropertyInfo)
            .Select(member => member.Name)
            .Where(name => name != nameof(IpndmGrid.Schedule));
        var documented = string.Join(' ', _lines.SelectMany(line => line.Split('`').Where((_, i) => i % 2 == 1)));

        classes.Concat(members).Distinct()
            .Where(name => !Regex.IsMatch(documented, $@"\b{name}\b")).Should().BeEmpty("each belongs on the page");
    }

    [Fact]
    public void Every_row_of_the_measured_tables_is_measured()
        => _lines.Where(line => Regex.IsMatch(line, @"\| \d\.\d\de-\d \|")).Select(line => line.Split('`')[1]).Distinct()
            .Should().BeEquivalentTo(_solvers.Keys);

    private static string[][] Rows(string name, bool isCode = true)
        => [.. _lines.Where(line => line.StartsWith(isCode ? $"| `{name}` |" : $"| {name} |", StringComparison.Ordinal))
            .Select(line => line.Split('|', StringSplitOptions.TrimEntries)[1..^1])];

    private static TimeGrid Adapt(ISolver solver, TimeGrid grid, double[] fractions)
        => solver is PndmSolver ? grid.WithTrapezoidStart() : fractions.Length > 0 ? grid.Refined(fractions) : grid;

    private static int Calls(ISolver solver, TimeGrid grid)
    {
        var denoiser = new FunctionDenoiser(x => x.mul(0.1));
        using var sample = new DiffusionSampler(grid, solver)
            .Sample(denoiser.On(grid.Schedule), [1], 0, cancellationToken: TestContext.Current.CancellationToken);
        return denoiser.Calls;
    }

    /// <summary>Agreement to the last digit that is written, one unit of which rounding on another machine may move.</summary>
    private static void ShouldAgree(string[] cells, double[] measured, double? absolute = null)
    {
        cells.Should().HaveSameCount(measured);
        foreach (var (cell, value) in cells.Zip(measured))
        {
            var written = double.Parse(cell, CultureInfo.InvariantCulture);
            written.Should().BeApproximately(value, absolute ?? 0.011 * Math.Pow(10.0, Math.Floor(Math.Log10(written))));
        }
    }

    private static string Text(double value, string format = "F0")
        => double.IsInfinity(value) ? "inf" : value.ToString(format, CultureInfo.InvariantCulture);
}
