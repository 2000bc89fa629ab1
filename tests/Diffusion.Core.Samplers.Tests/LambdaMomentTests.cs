using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>
/// The spread of what stochastic solvers sample, exactly, on a grid even in lambda from sigma / alpha 100 to .02: with more steps it tends
/// to that of the data at the last level, at the order of the method.
/// </summary>
public class LambdaMomentTests(ITestOutputHelper output)
{
    private static readonly Dictionary<string, ISolver> _solvers = new()
    {
        ["sde-dpm++(1)"] = new DpmMultistepSolver(1, tau: 1.0),
        ["sde-dpm++(2m)"] = new DpmMultistepSolver(2, tau: 1.0),
        ["sde-dpm++(2m), heun"] = new DpmMultistepSolver(2, tau: 1.0) { Heun = true },
        ["sde-dpm++(2m), tau 0.5"] = new DpmMultistepSolver(2, tau: 0.5),
        ["sde-dpm++(3m)"] = new DpmMultistepSolver(3, tau: 1.0),
        ["sde-dpm++(3m), corrected"] = DpmMultistepSolver.Corrected(tau: 1.0),
        ["sde-dpm++(2s)"] = new DpmSinglestepSolver(2, tau: 1.0),
        ["sde-dpm-1"] = new DpmMultistepSolver(1, AlgorithmType.NoisePrediction, tau: 1.0),
        ["sde-dpm-2m"] = new DpmMultistepSolver(2, AlgorithmType.NoisePrediction, tau: 1.0),
        ["sde-dpm-2m, heun"] = new DpmMultistepSolver(2, AlgorithmType.NoisePrediction, tau: 1.0) { Heun = true },
        ["sa(1, 0)"] = new SaSolver(1, 0, (_, _) => 1.0),
        ["sa(2, 2)"] = new SaSolver(2, 2, (_, _) => 1.0),
        ["sa(3, 3)"] = new SaSolver(3, 3, (_, _) => 1.0),
        ["sa(2, 2), tau 0.5"] = new SaSolver(2, 2, (_, _) => 0.5),
        ["sa(2, 2), noise"] = new SaSolver(2, 2, (_, _) => 1.0, AlgorithmType.NoisePrediction),
    };

    [Theory]
    [InlineData("sde-dpm++(1)", 1.0, 2.6e-2)]
    [InlineData("sde-dpm++(2m)", 2.0, 1.0e-3)]
    [InlineData("sde-dpm++(2m), heun", 2.0, 2.1e-3)]
    [InlineData("sde-dpm++(2m), tau 0.5", 2.0, 5.5e-4)]
    [InlineData("sde-dpm++(3m)", 1.1, 1.1e-2)]
    [InlineData("sde-dpm++(3m), corrected", 2.2, 4.0e-4)]
    [InlineData("sde-dpm++(2s)", 0.8, 4.4e-2)]
    [InlineData("sde-dpm-1", 2.0, 6.0e-4)]
    [InlineData("sde-dpm-2m", 2.0, 5.0e-4)]
    [InlineData("sde-dpm-2m, heun", 2.0, 5.0e-4)]
    [InlineData("sa(1, 0)", 1.0, 2.6e-2)]
    [InlineData("sa(2, 2)", 2.3, 2.5e-3)]
    [InlineData("sa(3, 3)", 2.1, 3.0e-4)]
    [InlineData("sa(2, 2), tau 0.5", 2.2, 8.0e-4)]
    [InlineData("sa(2, 2), noise", 2.1, 6.0e-4)]
    public void The_spread_tends_to_that_of_the_data(string solver, double order, double bound)
    {
        double Error(int steps)
        {
            var grid = Grid(steps);
            var last = grid.Levels[^1];
            var expected = Math.Sqrt(Math.Pow(last.Alpha * GaussianMoments.Deviation, 2) + (last.Sigma * last.Sigma));
            var (mean, deviation) = GaussianMoments.Of(_solvers[solver], grid);
            mean.Should().BeApproximately(GaussianMoments.Mean * last.Alpha, 2e-3, "the start says little of the mean");
            return Math.Abs(deviation - expected);
        }

        var (coarse, fine) = (Error(80), Error(160));

        output.WriteLine($"| {solver} | {coarse:E2} | {fine:E2} | {Math.Log2(coarse / fine):F2} |");
        coarse.Should().BeLessThan(bound);
        Math.Log2(coarse / fine).Should().BeApproximately(order, 0.15);
    }

    [Theory]
    [InlineData(50)]
    [InlineData(100)]
    public void First_order_with_tau_1_is_the_ancestral_sampler(int steps)
    {
        var grid = TimeSpacing.Trailing.CreateGrid(DiscreteSchedule.Linear(), steps);
        var expected = GaussianMoments.Of(new AncestralSolver(ReverseVariance.FixedSmall), grid);

        foreach (var solver in new ISolver[] { new DpmMultistepSolver(1, tau: 1.0), new SaSolver(1, 0, (_, _) => 1.0) })
        {
            var (mean, deviation) = GaussianMoments.Of(solver, grid);
            mean.Should().BeApproximately(expected.Mean, 1e-12);
            deviation.Should().BeApproximately(expected.Deviation, 1e-12);
        }
    }

    [Fact]
    public void Without_tau_nothing_that_is_drawn_matters()
    {
        var grid = Grid(12);
        var start = GaussianMoments.Of(new DdimSolver(), grid);
        foreach (var solver in new ISolver[] { new DpmMultistepSolver(1), new SaSolver(1, 0, (_, _) => 0.0), new DpmSinglestepSolver(1) })
        {
            var (mean, deviation) = GaussianMoments.Of(solver, grid);
            mean.Should().BeApproximately(start.Mean, 1e-12, "first order is DDIM");
            deviation.Should().BeApproximately(start.Deviation, 1e-12);
        }
    }

    private static TimeGrid Grid(int steps)
    {
        var schedule = DiscreteSchedule.Linear();
        double Time(double share) => schedule.TimeOf(-2.0 * (Math.Log(100.0) + (share * Math.Log(0.02 / 100.0))));
        return new TimeGrid(schedule, [.. Enumerable.Range(0, steps).Select(k => Time((double)k / steps))], schedule.LevelAt(Time(1.0)));
    }
}
