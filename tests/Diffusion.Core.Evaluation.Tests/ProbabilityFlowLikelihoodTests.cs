using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

public sealed class ProbabilityFlowLikelihoodTests
{
    private static readonly LogSigmaSchedule Exploding = new(preservesVariance: false);
    private static readonly double Start = Math.Log(0.05);
    private static readonly double End = Math.Log(10.0);

    [Fact]
    public void With_tolerances_the_density_of_the_mixture_is_exact()
        => LogDensity(new DormandPrince(1e-8, 1e-8), -1.3).Should().BeApproximately(-1.102009, 1e-6);

    [Theory]
    [InlineData("rk4", 50, -1.102008)]
    [InlineData("heun", 100, -1.101203)]
    [InlineData("euler", 100, -1.050906)]
    public void Fixed_steps_have_the_error_of_their_order(string method, int steps, double expected)
    {
        var tableau = method switch
        {
            "rk4" => ButcherTableau.RungeKutta4,
            "heun" => ButcherTableau.Heun,
            _ => ButcherTableau.Euler,
        };

        LogDensity(new RungeKutta(tableau, steps), -1.3).Should().BeApproximately(expected, 1e-6);
    }

    private static double LogDensity(IOdeSolver solver, double x)
    {
        using var scope = NewDisposeScope();
        var denoiser = MixtureDenoiser.OfTable(Exploding, Prediction.Epsilon);
        var options = new ProbabilityFlowOptions
        {
            Solver = solver,
            Trace = TraceEstimator.Exact,
            MinTime = Start,
            MaxTime = End,
            LogPrior = latent => tensor(latent.Values().Select(value => denoiser.LogDensity(Exploding.LevelAt(End), [value])).ToArray()),
        };
        return new ProbabilityFlowLikelihood(Exploding, options)
            .LogDensity(denoiser, tensor(new[] { x }).reshape(1, 1), new LikelihoodRequest()).item<double>();
    }
}
