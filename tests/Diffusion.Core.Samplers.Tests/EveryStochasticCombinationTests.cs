using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>The stochastic solvers of <see cref="EveryCombinationTests"/>, in a class of their own so that both run at once.</summary>
public class EveryStochasticCombinationTests
{
    public static TheoryData<string> Stochastic() => [.. Every.StochasticBounds.Keys];

    /// <summary>
    /// Samples of a stochastic solver are compared to the quantiles of the mixture, in the Wasserstein distance; for other predictions than
    /// eps, the same draws must lead to the same samples.
    /// </summary>
    [Theory]
    [MemberData(nameof(Stochastic))]
    public void The_samples_of_a_stochastic_solver_are_within_its_bound_everywhere(string name)
    {
        const int Count = 200;
        const int Width = 20;
        var bound = Every.StochasticBounds[name];
        var quantiles = MixtureRun.Quantiles(MixtureRun.First, Count);
        var starts = Enumerable.Range(0, Count).Select(i => quantiles[i * 37 % Count]).ToArray();
        var wanted = MixtureRun.Quantiles(MixtureRun.Last, Count);
        var few = starts[..Width];
        double[] samples = [];
        foreach (var (schedule, prediction, what) in EveryCombinationTests.All())
        {
            if (prediction == Prediction.Epsilon)
            {
                samples = MixtureRun.Of(Every.Solvers[name], schedule, prediction, starts, Width);
                samples.Order().Zip(wanted, (a, b) => Math.Abs(a - b)).Average().Should().BeLessThan(bound, what);
                continue;
            }

            var result = MixtureRun.Of(Every.Solvers[name], schedule, prediction, few, Width);
            for (var i = 0; i < few.Length; i++)
                result[i].Should().BeApproximately(samples[i], 1e-6, what);
        }
    }
}
