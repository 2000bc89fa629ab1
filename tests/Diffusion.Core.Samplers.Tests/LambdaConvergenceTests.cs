using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>
/// The order of the solvers over log-SNR, with the exact score of a mixture of Gaussians from sigma 10 to .05. A multistep method of
/// third order or more that starts with one Euler step is of second order as a whole; given exact history it has its own order.
/// </summary>
public class LambdaConvergenceTests(ITestOutputHelper output)
{
    private static readonly Dictionary<string, Func<TimeGrid, TimeGrid>> _grids = new()
    {
        ["dpm++(2s)"] = grid => grid.Refined(0.5),
        ["dpm-2s"] = grid => grid.Refined(0.5),
        ["dpm-3s"] = grid => grid.Refined(1.0 / 3.0, 2.0 / 3.0),
        ["dpm++(3s)"] = grid => grid.Refined(1.0 / 3.0, 2.0 / 3.0),
        ["dpm++(3s), heun"] = grid => grid.Refined(1.0 / 3.0, 2.0 / 3.0),
        ["dpm++(3s), paper"] = grid => grid.Refined(1.0 / 3.0, 2.0 / 3.0),
        ["plms"] = grid => grid.WithTrapezoidStart(),
    };

    [Theory]
    [InlineData("dpm++(1)", 5.34e-2, 1.34e-2, 3.37e-3)]
    [InlineData("dpm-1", 5.34e-2, 1.34e-2, 3.37e-3)]
    [InlineData("dpm-2s", 4.15e-3, 2.48e-4, 1.53e-5)]
    [InlineData("dpm++(2s)", 3.15e-3, 2.02e-4, 1.27e-5)]
    [InlineData("dpm++(2m)", 4.43e-3, 2.71e-4, 1.68e-5)]
    [InlineData("dpm-3s", 2.95e-5, 4.40e-7, 6.78e-9)]
    [InlineData("unipc-2", 1.27e-3, 2.02e-5, 3.16e-7)]
    [InlineData("unipc-3", 2.30e-4, 8.74e-7, 3.52e-9)]
    [InlineData("plms", 2.39e-3, 1.48e-4, 9.29e-6)]
    [InlineData("dpm++(3m)", 1.10e-3, 6.90e-5, 4.40e-6)]
    public void The_errors_are_the_published_ones_on_every_process(string solver, double coarse, double middle, double fine)
    {
        foreach (var preservesVariance in new[] { true, false })
        {
            foreach (var (steps, expected) in new[] { (20, coarse), (80, middle), (320, fine) })
                Error(solver, steps, preservesVariance).Should().BeApproximately(expected, 6e-3 * expected, $"N = {steps}");
        }
    }

    [Theory]
    [InlineData("dpm++(1)", 1.0, 1.0)]
    [InlineData("dpm-2s", 2.0, 2.0)]
    [InlineData("dpm++(2s)", 2.0, 2.0)]
    [InlineData("dpm++(2m)", 2.0, 2.0)]
    [InlineData("dpm++(2m), heun", 2.0, 2.0)]
    [InlineData("dpm-2m", 2.0, 2.0)]
    [InlineData("dpm-2m, heun", 2.0, 2.0)]
    [InlineData("dpm-3m", 2.0, 2.0)]
    [InlineData("dpm++(3m)", 2.0, 2.0)]
    [InlineData("dpm++(3m), corrected", 2.0, 3.0)]
    [InlineData("dpm-3s", 3.0, 3.0)]
    [InlineData("dpm++(3s)", 3.0, 3.0)]
    [InlineData("dpm++(3s), heun", 3.0, 3.0)]
    [InlineData("dpm++(3s), paper", 3.0, 3.0)]
    [InlineData("unipc-1", 2.0, 2.0)]
    [InlineData("unipc-2", 3.0, 3.0)]
    [InlineData("unipc-2, bh1", 3.0, 3.0)]
    [InlineData("unipc-2, noise", 3.0, 3.0)]
    [InlineData("unipc-3", 4.0, 4.0)]
    [InlineData("unipc-3, noise, bh1", 3.0, 4.0)]
    [InlineData("unipc-4", 4.0, 4.5)]
    [InlineData("unip-3", 2.0, 3.0)]
    [InlineData("deis-1", 1.0, 1.0)]
    [InlineData("deis-2", 2.0, 2.0)]
    [InlineData("deis-3", 2.0, 3.0)]
    [InlineData("deis-4", 2.0, 4.0)]
    [InlineData("sa(2, 2), tau 0", 2.0, 2.25)]
    [InlineData("plms", 2.0, 2.0)]
    public void The_order_is_measured_by_halving_the_steps(string solver, double least, double most)
    {
        var (coarse, middle, fine) = (Error(solver, 40), Error(solver, 80), Error(solver, 160));

        Report(solver, coarse, middle, fine);
        Math.Log2(coarse / middle).Should().BeInRange(least - 0.15, most + 0.15);
        Math.Log2(middle / fine).Should().BeInRange(least - 0.15, most + 0.15);
    }

    [Theory]
    [InlineData("dpm++(2m)", 1, 2.0)]
    [InlineData("dpm++(2m), heun", 1, 2.0)]
    [InlineData("dpm-2m", 1, 2.0)]
    [InlineData("dpm++(3m)", 2, 2.0)]
    [InlineData("dpm++(3m), corrected", 2, 3.0)]
    [InlineData("deis-2", 1, 2.0)]
    [InlineData("deis-3", 2, 3.0)]
    [InlineData("deis-4", 3, 4.0)]
    [InlineData("unip-3", 2, 3.0)]
    public void From_exact_history_a_multistep_method_has_its_own_order(string name, int start, double order)
    {
        var solver = new ExactStart(LambdaSolvers.Deterministic[name], start);
        double Error(int steps) => ProbabilityFlow.Error(solver, new LogSigmaSchedule(true).Grid(steps));

        var (coarse, middle, fine) = (Error(80), Error(160), Error(320));

        Report(name, coarse, middle, fine);
        Math.Log2(coarse / middle).Should().BeApproximately(order, 0.15);
        Math.Log2(middle / fine).Should().BeApproximately(order, 0.15);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Pndm_is_of_fourth_order_on_the_even_steps_of_sigma_that_its_weights_are_for(bool rungeKuttaStart)
    {
        var schedule = new SigmaTime();
        double Error(int steps)
        {
            var grid = new TimeGrid(schedule, [.. Enumerable.Range(0, steps).Select(k => 10.0 - (9.0 * k / steps))], schedule.LevelAt(1.0));
            return rungeKuttaStart
                ? ProbabilityFlow.Error(new PndmSolver { RungeKuttaStart = true }, grid.WithRungeKuttaStart())
                : ProbabilityFlow.Error(new ExactStart(new PndmSolver(), 3), grid);
        }

        var (coarse, middle, fine) = (Error(80), Error(160), Error(320));

        Report(rungeKuttaStart ? "pndm, Runge and Kutta's start" : "plms, exact start", coarse, middle, fine);
        Math.Log2(coarse / middle).Should().BeInRange(3.6, 4.15);
        Math.Log2(middle / fine).Should().BeApproximately(4.0, 0.15);
    }

    [Theory]
    [InlineData("dpm++(1)", 8.2e-2)]
    [InlineData("dpm++(2m)", 2.17e-2)]
    [InlineData("unipc-3", 5.6e-3)]
    public void On_a_Karras_grid_that_ends_without_noise_the_errors_are_the_published_ones(string solver, double expected)
    {
        var grid = SigmaSpacing.Karras().CreateGrid(new EdmSchedule(0.002, 10.0), 18);

        ProbabilityFlow.Error(LambdaSolvers.Data[solver], grid).Should().BeApproximately(expected, 1e-2 * expected);
    }

    private static double Error(string solver, int steps, bool preservesVariance = true)
    {
        var grid = new LogSigmaSchedule(preservesVariance).Grid(steps);
        return ProbabilityFlow.Error(LambdaSolvers.Deterministic[solver], _grids.TryGetValue(solver, out var map) ? map(grid) : grid);
    }

    private void Report(string solver, double coarse, double middle, double fine)
        => output.WriteLine($"| {solver} | {coarse:E2} | {middle:E2} | {fine:E2} | {Math.Log2(coarse / middle):F2} | {Math.Log2(middle / fine):F2} |");

    /// <summary>x = x_0 + t eps.</summary>
    private sealed class SigmaTime : INoiseSchedule
    {
        public double MinTime => 0.0;

        public double MaxTime => 10.0;

        public NoiseLevel LevelAt(double t) => new(1.0, t);
    }
}
