using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>
/// DDIM without noise is Euler's method for the probability flow, first order in the number of steps: measured with the exact score of
/// a mixture of Gaussians from sigma 10 to .05.
/// </summary>
public class ConvergenceTests
{
    [Theory]
    [InlineData(true, 20, 5.34e-2)]
    [InlineData(true, 80, 1.34e-2)]
    [InlineData(true, 320, 3.37e-3)]
    [InlineData(false, 20, 5.34e-2)]
    [InlineData(false, 80, 1.34e-2)]
    [InlineData(false, 320, 3.37e-3)]
    public void Ddim_has_the_error_of_Eulers_method_whether_variance_is_preserved_or_explodes(bool preservesVariance, int steps, double error)
        => ProbabilityFlow.Error(new DdimSolver(), new LogSigmaSchedule(preservesVariance).Grid(steps)).Should().BeApproximately(error, 5e-3 * error);

    [Theory]
    [InlineData("linear")]
    [InlineData("cosine")]
    public void Ddim_is_of_first_order_in_time_on_a_discrete_schedule(string name)
    {
        var schedule = Combinations.Schedules[name];
        var (first, last) = (schedule.TimeOf(-2.0 * Math.Log(10.0)), schedule.TimeOf(-2.0 * Math.Log(0.05)));
        double Error(int steps) => ProbabilityFlow.Error(
            new DdimSolver(),
            new TimeGrid(schedule, [.. Enumerable.Range(0, steps).Select(k => first + ((last - first) * k / steps))], schedule.LevelAt(last)));

        var (coarse, middle, fine) = (Error(40), Error(80), Error(160));

        Math.Log2(coarse / middle).Should().BeApproximately(1.0, 0.15);
        Math.Log2(middle / fine).Should().BeApproximately(1.0, 0.15);
    }
}
