using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>x / alpha over sigma / alpha is the same on every process, and every solver knows.</summary>
public class SigmaCovarianceTests
{
    /// <summary>All but Heun's method along a straight line, which depends on the line, and the large variance, which depends on beta.</summary>
    public static TheoryData<string> Covariant
        => [.. SigmaSolvers.All.Select(pair => pair.Key).Where(name => name is not ("flow heun" or "predictor-corrector"))];

    [Theory]
    [MemberData(nameof(Covariant))]
    public void A_trajectory_divided_by_alpha_is_the_same_whether_variance_is_preserved_or_explodes(string solver)
    {
        var (preserving, exploding) = (Trajectory(solver, true), Trajectory(solver, false));

        preserving.Should().HaveSameCount(exploding);
        for (var k = 0; k < preserving.Count; k++)
            preserving[k].Zip(exploding[k], (a, b) => Math.Abs(a - b) / Math.Max(1.0, Math.Abs(b))).Max().Should().BeLessThan(1e-11, $"after step {k}");
    }

    [Theory]
    [InlineData("euler")]
    [InlineData("lms-1")]
    [InlineData("ddim, eta 0")]
    public void On_a_straight_line_Eulers_method_moves_by_the_velocity(string solver)
    {
        var grid = ScheduleTimeSpacing.Uniform().CreateGrid(new RectifiedFlowSchedule(), 7);
        using var first = tensor(new[] { -1.4, 0.2, 2.3 });
        var expected = first.Values();
        var k = 0;
        foreach (var state in Steps(Combinations.Solvers[solver], grid, first))
        {
            state.Sample.Values().Zip(expected, (a, e) => Math.Abs(a - e)).Max().Should().BeLessThan(1e-13, $"after step {k}");
            if (k == 7)
                break;
            var (s, next, level) = (grid.Levels[k].Sigma, grid.Levels[++k].Sigma, grid.Levels[k - 1]);
            expected = Array.ConvertAll(expected, x =>
            {
                var data = ExactDenoiser.Mixture(x, level);
                return x + ((next - s) * (((x - (level.Alpha * data)) / level.Sigma) - data));
            });
        }
    }

    [Fact]
    public void On_a_straight_line_Heuns_method_is_the_mean_of_two_velocities()
    {
        var grid = ScheduleTimeSpacing.Uniform().CreateGrid(new RectifiedFlowSchedule(), 5);
        double Velocity(double x, NoiseLevel level)
            => ((x - (level.Alpha * ExactDenoiser.Mixture(x, level))) / level.Sigma) - ExactDenoiser.Mixture(x, level);
        using var first = tensor(new[] { -1.4, 0.2, 2.3 });
        var expected = first.Values();
        foreach (var state in Steps(new FlowHeunSolver(), grid, first))
        {
            state.Sample.Values().Zip(expected, (a, e) => Math.Abs(a - e)).Max().Should().BeLessThan(1e-13, $"after step {state.Step}");
            if (state.Step == 5)
                break;
            var (from, to) = (grid.Levels[state.Step], grid.Levels[state.Step + 1]);
            var h = to.Sigma - from.Sigma;
            expected = Array.ConvertAll(expected, x =>
            {
                var slope = Velocity(x, from);
                return to.Sigma == 0.0 ? x + (h * slope) : x + (h / 2.0 * (slope + Velocity(x + (h * slope), to)));
            });
        }
    }

    [Fact]
    public void On_an_exploding_process_Heuns_method_is_the_same_along_its_straight_line()
    {
        var grid = new LogSigmaSchedule(preservesVariance: false).Grid(9);
        using var first = tensor(new[] { -14.0, 2.0, 23.0 });
        double[] Result(ISolver solver) => Steps(solver, grid, first).Select(state => state.Sample.Values()).ToList()[^1];

        Result(new FlowHeunSolver()).Zip(Result(new HeunSolver()), (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-12);
    }

    private static List<double[]> Trajectory(string solver, bool preservesVariance)
    {
        var grid = new LogSigmaSchedule(preservesVariance).Grid(12);
        using var first = tensor(new[,] { { -14.0, 2.0, 23.0 }, { 0.5, -3.0, 8.0 } });
        using var scaled = first.mul(grid.Levels[0].Alpha);
        return [.. Steps(Combinations.Solvers[solver], grid, scaled).Select(state => Array.ConvertAll(state.Sample.Values(), x => x / state.Level.Alpha))];
    }

    private static IEnumerable<SamplerState> Steps(ISolver solver, TimeGrid grid, Tensor first)
        => new DiffusionSampler(grid, solver, new SamplerOptions { Threshold = Thresholding.None }).Steps(
            new ExactDenoiser(grid.Schedule, ExactDenoiser.Mixture, Prediction.X0).Model,
            new SamplingRequest { Shape = first.shape, InitialSample = first, Seed = 5 },
            TestContext.Current.CancellationToken);
}
