using Diffusion.Core.Testing;

namespace Diffusion.Core.Schedules.Tests;

public sealed class DiscreteScheduleTests
{
    public static TheoryData<string> Schedules => TestSchedules.Names;

    public static TheoryData<double[], string> BadBetas => new()
    {
        { [], "*at least one step*" },
        { [0.1, 0.0, 0.2], "*beta[1] = 0*" },
        { [0.1, -0.1], "*beta[1] = -0.1*" },
        { [1.5], "*beta[0] = 1.5*" },
        { [0.1, double.NaN], "*beta[1] = NaN*" },
        { [double.PositiveInfinity], "*beta[0] = *" },
        { [0.1, 1.0, 0.2], "*beta[1] = 1 of 3*" },
        { [0.1, 1e-17], "*changes nothing*beta[1] = 1E-17*" },
    };

    [Theory]
    [MemberData(nameof(BadBetas))]
    public void Betas_outside_their_range_are_refused_by_name(double[] betas, string message)
    {
        FluentActions.Invoking(() => DiscreteSchedule.FromBetas(betas)).Should().Throw<ArgumentException>()
            .WithMessage(message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void A_schedule_without_steps_is_refused(int steps)
    {
        Action[] makers =
        [
            () => DiscreteSchedule.Linear(steps),
            () => DiscreteSchedule.ScaledLinear(steps),
            () => DiscreteSchedule.Cosine(steps),
            () => DiscreteSchedule.FromAlphaBar(t => 1.0 - t, steps),
            () => DiscreteSchedule.Discretise(new LinearVpSchedule(), steps),
        ];
        foreach (var make in makers)
            make.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"steps must lie in [1, *got {steps}*");
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(1.1)]
    [InlineData(-0.5)]
    [InlineData(double.NaN)]
    public void A_greatest_beta_outside_its_range_is_refused(double maxBeta)
    {
        FluentActions.Invoking(() => DiscreteSchedule.Cosine(10, maxBeta: maxBeta)).Should().Throw<ArgumentOutOfRangeException>()
            .WithMessage("*maxBeta*");
    }

    [Theory]
    [InlineData(-0.1)]
    [InlineData(double.NaN)]
    public void Ends_and_offsets_outside_their_range_are_refused(double value)
    {
        FluentActions.Invoking(() => DiscreteSchedule.Cosine(10, offset: value)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => DiscreteSchedule.ScaledLinear(10, betaStart: value)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => DiscreteSchedule.ScaledLinear(10, betaEnd: value)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => DiscreteSchedule.Linear(10, betaStart: value)).Should().Throw<ArgumentException>();
    }

    public static TheoryData<string, Func<double, double>> BadAlphaBars => new()
    {
        { "rises", t => 0.5 + (0.1 * t) },
        { "stands still", t => 1.0 },
        { "rises within", t => 1.0 - Math.Sin(4.0 * t) },
        { "is negative", t => 0.5 - t },
        { "is not a number", t => double.NaN },
        { "ends as no number", t => t < 1.0 ? 1.0 - (0.5 * t) : double.NaN },
        { "starts infinite", t => 1.0 / t },
        { "starts at zero", t => 0.0 },
    };

    [Theory]
    [MemberData(nameof(BadAlphaBars))]
    public void An_abar_that_does_not_fall_is_refused_with_the_place(string how, Func<double, double> alphaBar)
    {
        FluentActions.Invoking(() => DiscreteSchedule.FromAlphaBar(alphaBar, 10)).Should().Throw<ArgumentException>(how)
            .WithMessage("abar(t) must fall*got * at t = *").And.ParamName.Should().Be("alphaBar");
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Tables_follow_from_the_betas(string name)
    {
        var schedule = TestSchedules.Make(name);
        var (bar, variance) = (1.0, 0.0);

        // 1 - abar keeps as many digits less as abar has nines.
        var tolerance = Math.Max(1e-11, 4e-16 / (1.0 - schedule.AlphaBars[0]));
        for (var t = 0; t < schedule.Steps; t++)
        {
            var (beta, barBefore, before) = (schedule.Betas[t], bar, variance);
            bar *= 1.0 - beta;

            // The variance of x_t given x_0, one step after another, with no difference of nearly equal numbers.
            variance = beta + ((1.0 - beta) * variance);
            schedule.AlphaBars[t].Should().BeApproximately(bar, 1e-12 * bar);
            var level = schedule.LevelAt(t);
            (level.Alpha * level.Alpha).Should().BeApproximately(bar, 1e-12 * bar);
            (level.Sigma * level.Sigma).Should().BeApproximately(variance, tolerance * variance);
            schedule.PosteriorVariance[t].Should().BeApproximately(beta * before / variance, tolerance * beta);
            schedule.PosteriorMeanCoefficient1[t].Should().BeApproximately(beta * Math.Sqrt(barBefore) / variance, tolerance);
            schedule.PosteriorMeanCoefficient2[t].Should().BeApproximately(before * Math.Sqrt(1.0 - beta) / variance, tolerance);
        }
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Log_posterior_variance_is_its_logarithm_but_for_the_first(string name)
    {
        var schedule = TestSchedules.Make(name);
        for (var t = 1; t < schedule.Steps; t++)
            schedule.PosteriorLogVariance[t].Should().Be(Math.Log(schedule.PosteriorVariance[t]));
        schedule.PosteriorVariance[0].Should().Be(0.0);
        schedule.PosteriorLogVariance[0].Should().Be(
            schedule.Steps == 1 ? Math.Log(schedule.Betas[0]) : schedule.PosteriorLogVariance[1]);
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Between_indices_the_level_is_finite_variance_preserving_and_monotone(string name)
    {
        var schedule = TestSchedules.Make(name);
        var previous = double.PositiveInfinity;
        for (var i = 0; i <= (schedule.Steps - 1) * 4; i++)
        {
            var level = schedule.LevelAt(i / 4.0);
            ((level.Alpha * level.Alpha) + (level.Sigma * level.Sigma)).Should().BeApproximately(1.0, 1e-15);
            level.LogSnr.Should().BeLessThan(previous);
            previous = level.LogSnr;
        }
    }

    [Fact]
    public void Between_indices_the_log_SNR_is_a_straight_line()
    {
        var schedule = DiscreteSchedule.Linear();

        var expected = (0.75 * schedule.LogSnr(500)) + (0.25 * schedule.LogSnr(501));

        schedule.LogSnr(500.25).Should().BeApproximately(expected, 1e-13);
    }

    [Fact]
    public void Without_terminal_signal_everything_stays_finite()
    {
        var schedule = DiscreteSchedule.Linear().RescaledToZeroTerminalSnr();
        var last = schedule.Steps - 1;

        schedule.LevelAt(last).Should().Be(new NoiseLevel(0.0, 1.0));
        schedule.LevelAt(last - 1e-9).Alpha.Should().BeInRange(0.0, 1e-9);
        schedule.LevelAt(last - 0.5).Alpha.Should().BeApproximately(0.5 * schedule.Alpha(last - 1), 1e-15);
        schedule.PosteriorMeanCoefficient1[last].Should().BeApproximately(schedule.Alpha(last - 1), 1e-15);
        schedule.PosteriorMeanCoefficient2[last].Should().Be(0.0);
        schedule.PosteriorVariance[last].Should().BeApproximately(1.0 - schedule.AlphaBars[last - 1], 1e-15);
    }

    [Theory]
    [InlineData(-0.01)]
    [InlineData(9.01)]
    [InlineData(double.NaN)]
    public void A_time_outside_the_schedule_is_refused(double t)
    {
        var schedule = DiscreteSchedule.Linear(10);

        FluentActions.Invoking(() => schedule.LevelAt(t))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("t must lie in [0, 9]*");
    }

    [Fact]
    public void The_level_before_the_first_is_the_data()
    {
        var schedule = DiscreteSchedule.Linear(10);

        schedule.PreviousLevel(0).Should().Be(NoiseLevel.Clean);
        schedule.PreviousLevel(9).Should().Be(schedule.LevelAt(8));
        FluentActions.Invoking(() => schedule.PreviousLevel(10)).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void Changing_the_given_betas_does_not_change_the_schedule()
    {
        double[] betas = [0.1, 0.2];
        var schedule = DiscreteSchedule.FromBetas(betas);

        betas[0] = 0.9;

        schedule.Betas[0].Should().Be(0.1);
    }

    [Fact]
    public void Only_the_ratios_of_abar_count()
    {
        var one = DiscreteSchedule.FromAlphaBar(t => Math.Exp(-5.0 * t), 100);
        var other = DiscreteSchedule.FromAlphaBar(t => 7.0 * Math.Exp(-5.0 * t), 100);

        RelativeError.OfEach(one.Betas, other.Betas).Should().BeLessThan(1e-13);
    }
}
