using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>
/// What the stochastic solvers over sigma / alpha sample from Gaussian data, N(.3, .5^2), without Monte Carlo: with the exact denoiser a run
/// is affine in its draws, which a batch of probes measures. The draws of a Brownian path over nested intervals share what they overlap in.
/// </summary>
public class SigmaMomentTests(ITestOutputHelper output)
{
    private const double Mean = 0.3;
    private const double Deviation = 0.5;

    private static readonly Dictionary<string, ISolver> _solvers = new()
    {
        ["euler ancestral"] = new DdimSolver(eta: 1.0),
        ["euler, churn"] = new EulerSolver(new Churn { Amount = 2.0 }),
        ["heun, churn"] = new HeunSolver(new Churn { Amount = 2.0 }),
        ["dpm2 ancestral"] = new Dpm2Solver(eta: 1.0),
        ["dpm++ sde"] = new DpmPlusPlusSdeSolver(),
    };

    [Theory]
    [InlineData("euler ancestral", false, 1.0)]
    [InlineData("euler, churn", false, 1.0)]
    [InlineData("heun, churn", false, 2.0)]
    [InlineData("dpm2 ancestral", false, 2.0)]
    [InlineData("dpm++ sde", false, 1.0)]
    [InlineData("dpm++ sde", true, 2.0)]
    public void The_deviation_of_the_samples_tends_to_that_of_the_data_with_the_order_of_the_solver(string solver, bool onePath, double order)
    {
        var errors = new List<double>();
        foreach (var steps in new[] { 40, 80, 160 })
        {
            var (mean, deviation) = Moments(_solvers[solver], steps, onePath);
            errors.Add(Math.Abs(deviation - Deviation));
            mean.Should().BeApproximately(Mean, 1e-3, "only the start, at a finite sigma, moves the mean");
        }

        var orders = errors.Zip(errors.Skip(1), (a, b) => Math.Log2(a / b)).ToArray();
        output.WriteLine($"| {solver}{(onePath ? ", one path" : "")} | {errors[0]:E2} | {errors[1]:E2} | {errors[2]:E2} | {orders[0]:F2} | {orders[1]:F2} |");
        orders.Should().OnlyContain(measured => Math.Abs(measured - order) < 0.22);
    }

    private static (double Mean, double Deviation) Moments(ISolver solver, int steps, bool onePath)
    {
        var schedule = new EdmSchedule(0.002, 80.0);
        var grid = SigmaSpacing.Exponential().CreateGrid(schedule, steps);
        using var noise = new Probes(onePath);
        var options = new SamplerOptions { Threshold = Thresholding.None, InitialScale = 80.0 };
        using var result = new DiffusionSampler(grid, solver, options).Sample(
            new ExactDenoiser(schedule, ExactDenoiser.Gaussian(Mean, Deviation), Prediction.X0).Model,
            new SamplingRequest { Shape = [(2 * steps) + 2, 1], Noise = noise, Dtype = ScalarType.Float64 },
            cancellationToken: TestContext.Current.CancellationToken);

        // Probe 0 has no noise at all, probe m + 1 one unit of the m-th independent draw.
        var values = result.Values();
        return (values[0], Math.Sqrt(values.Skip(1).Sum(value => Math.Pow(value - values[0], 2))));
    }

    /// <summary>Independent draws, or the increments of one path where a draw starts where the one before started.</summary>
    private sealed class Probes(bool onePath) : INoiseSource
    {
        private int _count;
        private double _from = double.NaN;
        private double _to;

        public Tensor Draw(Tensor like) => Units(like, (_count++, 1.0));

        public Tensor Draw(Tensor like, double from, double to)
        {
            if (!onePath || from != _from)
            {
                (_from, _to) = (from, to);
                return Draw(like);
            }

            var (first, second) = (Math.Sqrt((from - _to) / (from - to)), Math.Sqrt((_to - to) / (from - to)));
            var drawn = Units(like, (_count - 1, first), (_count, second));
            _count++;
            return drawn;
        }

        public void Dispose()
        {
        }

        private static Tensor Units(Tensor like, params (int Draw, double Share)[] shares)
        {
            var units = zeros_like(like);
            foreach (var (draw, share) in shares)
            {
                using var probe = units.narrow(0, draw + 1, 1);
                probe.fill_(share);
            }

            return units;
        }
    }
}
