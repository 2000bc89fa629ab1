namespace Diffusion.Core.Tests;

public class LearningRateTests
{
    [Fact]
    public void The_warm_up_is_linear_and_ends_at_the_rate()
    {
        var rate = LearningRateSchedules.Constant(2e-4, warmupSteps: 500);

        rate(0).Should().BeApproximately(2e-4 / 500, 1e-18);
        rate(249).Should().BeApproximately(1e-4, 1e-18);
        rate(499).Should().Be(2e-4);
        rate(500).Should().Be(2e-4);
        rate(1_000_000_000).Should().Be(2e-4);
    }

    [Fact]
    public void Without_a_warm_up_the_first_step_has_the_whole_rate() => LearningRateSchedules.Constant(0.1)(0).Should().Be(0.1);

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    public void A_cosine_falls_from_the_rate_to_the_minimum_at_its_last_step(long warmup)
    {
        var rate = LearningRateSchedules.Cosine(1e-3, steps: 1100, warmupSteps: warmup, minimum: 1e-5);

        rate(warmup).Should().BeApproximately(1e-3, 1e-18);
        rate((1100 + warmup) / 2).Should().BeApproximately((1e-3 + 1e-5) / 2, 1e-15);
        rate(1100).Should().BeApproximately(1e-5, 1e-18);
        rate(5000).Should().BeApproximately(1e-5, 1e-18);
        for (var step = warmup; step < 1100; step++)
            rate(step + 1).Should().BeLessThan(rate(step));
    }

    [Fact]
    public void A_cosine_to_zero_ends_at_zero() => LearningRateSchedules.Cosine(1.0, steps: 10)(10).Should().Be(0.0);

    [Fact]
    public void Rates_that_make_no_sense_are_refused()
    {
        var calls = new Action[]
        {
            () => LearningRateSchedules.Constant(0.0),
            () => LearningRateSchedules.Constant(double.NaN),
            () => LearningRateSchedules.Constant(1e-3, -1),
            () => LearningRateSchedules.Cosine(1e-3, 0),
            () => LearningRateSchedules.Cosine(1e-3, 100, warmupSteps: 100),
            () => LearningRateSchedules.Cosine(1e-3, 100, minimum: 2e-3),
            () => LearningRateSchedules.Constant(1e-3)(-1),
        };
        foreach (var call in calls)
            call.Should().Throw<ArgumentOutOfRangeException>();
    }
}
