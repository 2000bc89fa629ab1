namespace Diffusion.Core.Tests;

public class EmaDecayTests
{
    [Theory]
    [InlineData(1_000, 0.990007)]
    [InlineData(10_000, 0.997846)]
    [InlineData(31_622, 0.999000)]
    public void The_power_form_has_the_published_values(long step, double expected)
        => EmaDecay.Power(2.0 / 3.0).At(step).Should().BeApproximately(expected, 5e-7);

    [Fact]
    public void The_warm_up_starts_at_two_elevenths_and_ends_at_the_decay()
    {
        var decay = EmaDecay.WarmUp(0.9999);

        decay.At(1).Should().Be(2.0 / 11.0);
        decay.At(8).Should().Be(0.5);
        decay.At(80_000).Should().BeLessThan(0.9999);
        decay.At(100_000).Should().Be(0.9999);
    }

    [Fact]
    public void A_decay_is_never_more_than_it_may_be() => EmaDecay.Power(0.75, 0.99).At(1_000_000).Should().Be(0.99);

    [Fact]
    public void A_decay_does_not_overwrite_itself()
    {
        var decay = EmaDecay.WarmUp(0.999);
        var first = decay.At(20_000);

        decay.At(1);

        decay.At(20_000).Should().Be(first);
    }

    [Theory]
    [InlineData(-0.1)]
    [InlineData(1.0)]
    [InlineData(double.NaN)]
    public void Decays_outside_their_range_are_refused(double decay)
    {
        FluentActions.Invoking(() => EmaDecay.Constant(decay)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => EmaDecay.WarmUp(decay)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => EmaDecay.Power(0.5, decay)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => EmaDecay.Power(power: 0.0)).Should().Throw<ArgumentOutOfRangeException>();
    }
}
