using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>
/// DDIM without noise is Euler's method for the probability flow, first order in the number of steps: measured with the exact score of
/// a mixture of Gaussians from sigma 10 to .05, against a fine Runge-Kutta solution.
/// </summary>
public class ConvergenceTests
{
    private static readonly double[] _starts = [-1.9, -1.2, -0.55, -0.1, 0.35, 0.8, 1.6];

    [Theory]
    [InlineData(true, 20, 5.34e-2)]
    [InlineData(true, 80, 1.34e-2)]
    [InlineData(true, 320, 3.37e-3)]
    [InlineData(false, 20, 5.34e-2)]
    [InlineData(false, 80, 1.34e-2)]
    [InlineData(false, 320, 3.37e-3)]
    public void Ddim_has_the_error_of_Eulers_method_whether_variance_is_preserved_or_explodes(bool preservesVariance, int steps, double error)
    {
        var schedule = new LogSigmaSchedule(preservesVariance);

        Error(schedule, schedule.Grid(steps)).Should().BeApproximately(error, 5e-3 * error);
    }

    [Theory]
    [InlineData("linear")]
    [InlineData("cosine")]
    public void Ddim_is_of_first_order_in_time_on_a_discrete_schedule(string name)
    {
        var schedule = Combinations.Schedules[name];
        var (first, last) = (TimeAt(schedule, 10.0), TimeAt(schedule, 0.05));
        TimeGrid Grid(int steps) => new(
            schedule, [.. Enumerable.Range(0, steps).Select(k => first + ((last - first) * k / steps))], schedule.LevelAt(last));

        var (coarse, middle, fine) = (Error(schedule, Grid(40)), Error(schedule, Grid(80)), Error(schedule, Grid(160)));

        Math.Log2(coarse / middle).Should().BeApproximately(1.0, 0.15);
        Math.Log2(middle / fine).Should().BeApproximately(1.0, 0.15);
    }

    /// <summary>RMS over the starts, in the coordinates of an exploding process.</summary>
    private static double Error(INoiseSchedule schedule, TimeGrid grid)
    {
        var (start, end) = (grid.Levels[0], grid.Levels[^1]);
        var sampler = new DdimSampler(grid, options: new SamplerOptions { Threshold = null });
        using var initial = tensor(_starts.Select(x => 10.0 * x * start.Alpha).ToArray());
        using var result = sampler.Sample(
            new ExactDenoiser(schedule, ExactDenoiser.Mixture, Prediction.Epsilon),
            new SamplingRequest { Shape = initial.shape, InitialSample = initial },
            cancellationToken: TestContext.Current.CancellationToken);

        var squares = result.Values().Zip(_starts, (x, x0) =>
            Math.Pow((x / end.Alpha) - ProbabilityFlow(10.0 * x0, start.Sigma / start.Alpha, end.Sigma / end.Alpha), 2));
        return Math.Sqrt(squares.Average());
    }

    /// <summary>dx/dsigma = (x - E[x_0 | x]) / sigma, by Runge and Kutta's method in log sigma.</summary>
    private static double ProbabilityFlow(double x, double from, double to)
    {
        const int Steps = 2000;
        static double Slope(double x, double logSigma) => x - ExactDenoiser.Mixture(x, new NoiseLevel(1.0, Math.Exp(logSigma)));
        var h = Math.Log(to / from) / Steps;
        for (var k = 0; k < Steps; k++)
        {
            var t = Math.Log(from) + (k * h);
            var k1 = Slope(x, t);
            var k2 = Slope(x + (h / 2 * k1), t + (h / 2));
            var k3 = Slope(x + (h / 2 * k2), t + (h / 2));
            var k4 = Slope(x + (h * k3), t + h);
            x += h / 6 * (k1 + (2 * k2) + (2 * k3) + k4);
        }

        return x;
    }

    /// <summary>The time of a discrete schedule, between its indices, at which sigma / alpha has a value.</summary>
    private static double TimeAt(DiscreteSchedule schedule, double ratio)
    {
        var (low, high) = (0.0, schedule.MaxTime);
        for (var i = 0; i < 200; i++)
        {
            var middle = (low + high) / 2.0;
            var level = schedule.LevelAt(middle);
            if (level.Sigma / level.Alpha < ratio)
                low = middle;
            else
                high = middle;
        }

        return low;
    }
}
