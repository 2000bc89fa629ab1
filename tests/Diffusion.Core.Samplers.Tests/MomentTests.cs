using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>
/// Stochastic samplers without Monte Carlo: mean and standard deviation of what they would sample, from <see cref="GaussianMoments"/>.
/// </summary>
public class MomentTests
{
    private const double DataMean = 0.3;

    [Theory]
    [InlineData(10, 0.3335, 0.4939, 0.3700)]
    [InlineData(20, 0.3915, 0.5168, 0.4314)]
    [InlineData(50, 0.4441, 0.5117, 0.4714)]
    [InlineData(100, 0.4682, 0.5067, 0.4854)]
    [InlineData(250, 0.4858, 0.5029, 0.4941)]
    [InlineData(1000, 0.4961, 0.5008, 0.4985)]
    public void Samples_have_the_moments_that_propagate_exactly(int steps, double fixedSmall, double fixedLarge, double deterministic)
    {
        var small = Moments(new AncestralSolver(ReverseVariance.FixedSmall), steps);
        var large = Moments(new AncestralSolver(ReverseVariance.FixedLarge), steps);
        var ddim = Moments(new DdimSolver(), steps);
        var stochastic = Moments(new DdimSolver(eta: 1.0), steps);

        small.Deviation.Should().BeApproximately(fixedSmall, 5e-5);
        large.Deviation.Should().BeApproximately(fixedLarge, 5e-5);
        ddim.Deviation.Should().BeApproximately(deterministic, 5e-5);
        stochastic.Deviation.Should().BeApproximately(small.Deviation, 1e-12, "DDIM with eta 1 is the ancestral sampler");
        stochastic.Mean.Should().BeApproximately(small.Mean, 1e-12);
        small.Mean.Should().BeApproximately(DataMean, 5e-5);
        large.Mean.Should().BeApproximately(DataMean, 5e-5);
        if (steps == 1000)
            ddim.Mean.Should().BeApproximately(0.2990, 5e-5);
    }

    private static (double Mean, double Deviation) Moments(ISolver solver, int steps)
        => GaussianMoments.Of(solver, TimeSpacing.Trailing.CreateGrid(DiscreteSchedule.Linear(), steps));
}
