using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Testing;

/// <summary>The error of a solver on the probability flow of a mixture of Gaussians, whose score is known.</summary>
public static class ProbabilityFlow
{
    private static readonly double[] _starts = [-1.9, -1.2, -0.55, -0.1, 0.35, 0.8, 1.6];

    // As good as no noise at all: the flow is even in sigma near 0.
    private const double Limit = 1e-5;

    /// <summary>RMS over the starts, in the coordinates of an exploding process, against a fine Runge-Kutta solution.</summary>
    public static double Error(ISolver solver, TimeGrid grid)
    {
        var (start, end) = (grid.Levels[0], grid.Levels[^1]);
        var sampler = new DiffusionSampler(grid, solver, new SamplerOptions { Threshold = Thresholding.None });
        using var initial = tensor(_starts.Select(x => 10.0 * x * start.Alpha).ToArray());
        using var result = sampler.Sample(
            new ExactDenoiser(grid.Schedule, ExactDenoiser.Mixture, Prediction.Epsilon).Model,
            new SamplingRequest { Shape = initial.shape, InitialSample = initial },
            cancellationToken: TestContext.Current.CancellationToken);

        var squares = result.Values().Zip(_starts, (x, x0) =>
            Math.Pow((x / end.Alpha) - Solve(10.0 * x0, start.NoiseToSignalRatio, Math.Max(end.NoiseToSignalRatio, Limit)), 2));
        return Math.Sqrt(squares.Average());
    }

    /// <summary>The exact flow, dx/dsigma = (x - E[x_0 | x]) / sigma, by Runge and Kutta's method in log sigma.</summary>
    public static double Solve(double x, double from, double to)
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
}
