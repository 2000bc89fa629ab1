using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;

using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>The order of the solvers over sigma / alpha, with the exact score of a mixture of Gaussians from sigma 10 to .05.</summary>
public class SigmaConvergenceTests(ITestOutputHelper output)
{
    public static TheoryData<string, double, double, double> Published => new()
    {
        { "euler", 5.34e-2, 1.34e-2, 3.37e-3 },
        { "heun", 8.09e-3, 4.74e-4, 2.92e-5 },
        { "dpm2", 4.15e-3, 2.48e-4, 1.53e-5 },
        { "dpm++ sde, eta 0", 3.15e-3, 2.02e-4, 1.27e-5 },
        { "lms-1", 5.34e-2, 1.34e-2, 3.37e-3 },
        { "lms-2", 1.43e-2, 1.02e-3, 6.6e-5 },
        { "lms-3", 6.26e-3, 1.45e-4, 3.1e-6 },
        { "lms-4", 3.70e-3, 4.09e-5, 1.1e-6 },
    };

    [Theory]
    [MemberData(nameof(Published))]
    public void The_errors_are_the_published_ones_on_every_process(string solver, double coarse, double middle, double fine)
    {
        foreach (var preservesVariance in new[] { true, false })
        {
            var schedule = new LogSigmaSchedule(preservesVariance);
            foreach (var (steps, expected) in new[] { (20, coarse), (80, middle), (320, fine) })
            {
                var error = ProbabilityFlow.Error(SigmaSolvers.Deterministic[solver], schedule.Grid(steps));
                output.WriteLine($"{solver}, N = {steps}: {error:E3}");

                // As many digits as are published: two or three.
                error.Should().BeApproximately(expected, (expected < 1e-4 ? 2e-2 : 5e-3) * expected, $"N = {steps}");
            }
        }
    }

    [Theory]
    [InlineData("euler", 1.0, 1.0)]
    [InlineData("heun", 2.0, 2.0)]
    [InlineData("flow heun", 2.0, 2.0)]
    [InlineData("dpm2", 2.0, 2.0)]
    [InlineData("dpm++ sde, eta 0", 2.0, 2.0)]
    [InlineData("lms-2", 2.0, 2.0)]
    [InlineData("lms-3", 2.0, 3.0)]
    [InlineData("lms-4", 2.0, 4.0)]
    public void The_order_is_measured_by_halving_the_steps(string solver, double least, double most)
    {
        double Error(int steps) => ProbabilityFlow.Error(SigmaSolvers.Deterministic[solver], new LogSigmaSchedule(true).Grid(steps));

        var (coarse, middle, fine) = (Error(40), Error(80), Error(160));

        output.WriteLine($"| {solver} | {coarse:E2} | {middle:E2} | {fine:E2} | {Math.Log2(coarse / middle):F2} | {Math.Log2(middle / fine):F2} |");
        Math.Log2(coarse / middle).Should().BeInRange(least - 0.15, most + 0.15);
        Math.Log2(middle / fine).Should().BeInRange(least - 0.15, most + 0.15);
    }

    [Theory]
    [InlineData(2, 1.98)]
    [InlineData(3, 2.96)]
    [InlineData(4, 3.93)]
    public void From_exact_history_the_formula_of_LMS_has_its_order(int order, double expected)
    {
        var solver = new ExactStart(new LmsSolver(order), order - 1);
        double Error(int steps) => ProbabilityFlow.Error(solver, new LogSigmaSchedule(false).Grid(steps));

        var measured = Math.Log2(Error(80) / Error(160));

        output.WriteLine($"LMS-{order} from exact history: {measured:F2}");
        measured.Should().BeApproximately(expected, 0.15);
    }

    [Theory]
    [InlineData("euler", 8.2e-2, 18)]
    [InlineData("heun", 1.78e-2, 35)]
    [InlineData("flow heun", 1.78e-2, 35)]
    public void On_the_grid_of_EDM_the_errors_are_the_published_ones(string solver, double expected, int calls)
    {
        var grid = SigmaSpacing.Karras().CreateGrid(new EdmSchedule(0.002, 10.0), 18);
        var error = ProbabilityFlow.Error(SigmaSolvers.Deterministic[solver], grid);
        var denoiser = new FunctionDenoiser(x => x.mul(0.1));
        using var sample = new DiffusionSampler(grid, SigmaSolvers.Deterministic[solver]).Sample(
            denoiser.On(grid.Schedule), [2], 0, cancellationToken: TestContext.Current.CancellationToken);

        output.WriteLine($"{solver}: {error:E3}");
        error.Should().BeApproximately(expected, 1e-2 * expected);
        denoiser.Calls.Should().Be(calls);
    }
}
