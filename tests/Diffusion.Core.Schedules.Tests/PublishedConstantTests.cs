using Diffusion.Core.Testing;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Schedules.Tests;

/// <summary>Numbers of the literature's schedules, each to the digits it is known with.</summary>
public sealed class PublishedConstantTests
{
    [Fact]
    public void Linear_of_1000_steps()
    {
        var schedule = DiscreteSchedule.Linear();

        Digits.ShouldAgree(schedule.AlphaBars[0], ".9999");
        Digits.ShouldAgree(schedule.AlphaBars[500], ".0777966584");
        Digits.ShouldAgree(schedule.AlphaBars[999], "4.03583e-5");
        Digits.ShouldAgree(NoiseToSignal(schedule, 0), ".0100005");
        Digits.ShouldAgree(NoiseToSignal(schedule, 999), "157.407");
        Digits.ShouldAgree(schedule.PosteriorVariance[1], "5.45319e-5");
        Digits.ShouldAgree(schedule.PosteriorVariance[487], ".00979157");
        Digits.ShouldAgree(schedule.PosteriorVariance[999], ".01999998");
    }

    [Fact]
    public void Scaled_linear_of_1000_steps()
    {
        var schedule = DiscreteSchedule.ScaledLinear();

        Digits.ShouldAgree(schedule.AlphaBars[999], ".0046601");
        Digits.ShouldAgree(NoiseToSignal(schedule, 0), ".0291672");
        Digits.ShouldAgree(NoiseToSignal(schedule, 999), "14.6146");
    }

    [Fact]
    public void Cosine_of_1000_and_of_4000_steps()
    {
        var schedule = DiscreteSchedule.Cosine();

        Digits.ShouldAgree(schedule.Betas[0], "4.12842e-5");
        Digits.ShouldAgree(schedule.AlphaBars[999], "2.42877e-9");
        Digits.ShouldAgree(NoiseToSignal(schedule, 999), "20291");
        Digits.ShouldAgree(DiscreteSchedule.Cosine(4000).AlphaBars[3999], "1.51798e-10");
    }

    [Fact]
    public void Sigmoid_of_1000_steps()
    {
        var schedule = DiscreteSchedule.SigmoidAlphaBar();

        Digits.ShouldAgree(schedule.Betas[0], "3.00279e-4");
        Digits.ShouldAgree(schedule.AlphaBars[999], "3.00279e-7");
    }

    [Fact]
    public void Linear_rescaled_to_zero_terminal_SNR()
    {
        var schedule = DiscreteSchedule.Linear().RescaledToZeroTerminalSnr();

        Digits.ShouldAgree(schedule.AlphaBars[500], ".0752462157");
        Digits.ShouldAgree(schedule.AlphaBars[998], "4.2133e-9");
        schedule.AlphaBars[999].Should().Be(0.0);
    }

    [Fact]
    public void Linear_of_100_steps_warns_that_the_data_shows_to_the_end_and_of_1000_does_not()
    {
        var (few, many) = (new ListLogger(), new ListLogger());

        var schedule = DiscreteSchedule.Linear(100, logger: few);
        DiscreteSchedule.Linear(1000, logger: many);

        Digits.ShouldAgree(schedule.AlphaBars[99], ".3636");
        Digits.ShouldAgree(schedule.LogSnr(99), "-.56");
        few.Entries.Should().ContainSingle();
        few.Entries[0].Level.Should().Be(LogLevel.Warning);
        few.Entries[0].Text.Should().Contain("-0.56").And.Contain("100 steps");
        many.Entries.Should().BeEmpty();
    }

    [Fact]
    public void Linear_of_100_steps_with_scaled_betas_loses_the_data()
    {
        var logger = new ListLogger();

        var schedule = DiscreteSchedule.LinearScaledBySteps(100, logger: logger);

        Digits.ShouldAgree(schedule.AlphaBars[99], "2.039e-5");
        logger.Entries.Should().BeEmpty();
    }

    private static double NoiseToSignal(DiscreteSchedule schedule, int t) => schedule.Sigma(t) / schedule.Alpha(t);
}
