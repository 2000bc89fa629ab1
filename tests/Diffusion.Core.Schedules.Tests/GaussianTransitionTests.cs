using Diffusion.Core.Testing;
namespace Diffusion.Core.Schedules.Tests;

public sealed class GaussianTransitionTests
{
    private const double Rounding = 2.220446049250313e-16;

    public static TheoryData<string> Schedules => TestSchedules.Names;

    [Theory]
    [MemberData(nameof(Schedules))]
    public void A_chain_of_single_steps_has_the_closed_form(string name)
    {
        var schedule = TestSchedules.Make(name);
        var (mean, variance) = (1.0, 0.0);
        for (var t = 0; t < schedule.Steps; t++)
        {
            var level = schedule.LevelAt(t);
            var (scale, deviation) = GaussianTransition.Forward(level, schedule.PreviousLevel(t));
            mean *= scale;
            variance = (scale * scale * variance) + (deviation * deviation);

            mean.Should().BeApproximately(level.Alpha, 1e-12);
            variance.Should().BeApproximately(level.Sigma * level.Sigma, 1e-12);
        }
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Between_neighbours_it_gives_the_tables(string name)
    {
        var schedule = TestSchedules.Make(name);
        for (var t = 0; t < schedule.Steps; t++)
        {
            var (level, earlier) = (schedule.LevelAt(t), schedule.PreviousLevel(t));
            var mean = GaussianTransition.PosteriorMean(level, earlier);

            GaussianTransition.Variance(level, earlier).Should().BeApproximately(schedule.Betas[t], 1e-15);
            GaussianTransition.PosteriorVariance(level, earlier).Should().BeApproximately(schedule.PosteriorVariance[t], 1e-15);

            // Both divide by 1 - abar, which has lost its last digits where abar is close to 1.
            var tolerance = 1e-15 + (Rounding / (level.Sigma * level.Sigma));
            mean.First.Should().BeApproximately(schedule.PosteriorMeanCoefficient1[t], tolerance);
            mean.Second.Should().BeApproximately(schedule.PosteriorMeanCoefficient2[t], tolerance);
        }
    }

    [Theory]
    [InlineData(0.999, 0.99)]
    [InlineData(0.9, 0.5)]
    [InlineData(0.5, 0.01)]
    [InlineData(0.2, 0.0)]
    public void The_posterior_is_what_Bayes_rule_gives(double earlierAlphaBar, double laterAlphaBar)
    {
        var (earlier, level) = (Level(earlierAlphaBar), Level(laterAlphaBar));
        const double X0 = 0.7;
        const double Xt = -1.1;
        var scale = level.Alpha / earlier.Alpha;
        var deviation = Math.Sqrt((level.Sigma * level.Sigma) - (scale * scale * earlier.Sigma * earlier.Sigma));

        // q(x_s | x_t, x_0) is proportional to q(x_s | x_0) q(x_t | x_s); sums on an even grid integrate Gaussians to every digit.
        var (mass, first, second) = (0.0, 0.0, 0.0);
        for (var i = -20000; i <= 20000; i++)
        {
            var x = (earlier.Alpha * X0) + (earlier.Sigma * 14.0 * i / 20000.0);
            var (prior, likelihood) = ((x - (earlier.Alpha * X0)) / earlier.Sigma, (Xt - (scale * x)) / deviation);
            var density = Math.Exp(-0.5 * ((prior * prior) + (likelihood * likelihood)));
            mass += density;
            first += density * x;
            second += density * x * x;
        }

        var mean = first / mass;
        GaussianTransition.PosteriorMean(level, earlier).Apply(X0, Xt).Should().BeApproximately(mean, 1e-11);
        GaussianTransition.PosteriorVariance(level, earlier).Should().BeApproximately((second / mass) - (mean * mean), 1e-11);
    }

    [Fact]
    public void Two_steps_compose_to_one()
    {
        var (a, b, c) = (Level(0.9), Level(0.5), Level(0.1));

        var (first, second, both) = (GaussianTransition.Forward(b, a), GaussianTransition.Forward(c, b), GaussianTransition.Forward(c, a));

        (first.First * second.First).Should().BeApproximately(both.First, 1e-15);
        var variance = (second.First * second.First * first.Second * first.Second) + (second.Second * second.Second);
        variance.Should().BeApproximately(both.Second * both.Second, 1e-15);
    }

    [Theory]
    [InlineData(1.0, 0.0)]
    [InlineData(0.6, 0.8)]
    [InlineData(0.0, 1.0)]
    public void A_step_between_equal_levels_changes_nothing(double alpha, double sigma)
    {
        var level = new NoiseLevel(alpha, sigma);

        GaussianTransition.Forward(level, level).Should().Be(new LinearPair(1.0, 0.0));
        GaussianTransition.PosteriorMean(level, level).Should().Be(new LinearPair(0.0, 1.0));
        GaussianTransition.PosteriorVariance(level, level).Should().Be(0.0);
    }

    [Fact]
    public void Levels_in_the_wrong_order_are_refused()
    {
        var (clean, noisy) = (Level(0.9), Level(0.1));

        FluentActions.Invoking(() => GaussianTransition.Forward(clean, noisy))
            .Should().Throw<ArgumentException>().WithMessage("*less noise*");
        FluentActions.Invoking(() => GaussianTransition.PosteriorMean(clean, noisy)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => GaussianTransition.PosteriorVariance(clean, noisy)).Should().Throw<ArgumentException>();
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(3.5)]
    [InlineData(-40.0)]
    public void A_level_is_made_from_its_log_SNR(double logSnr)
    {
        var level = NoiseLevel.FromLogSnr(logSnr);

        level.LogSnr.Should().BeApproximately(logSnr, 1e-14);
        level.Snr.Should().BeApproximately(Math.Exp(logSnr), 1e-13 * Math.Exp(logSnr));
        ((level.Alpha * level.Alpha) + (level.Sigma * level.Sigma)).Should().BeApproximately(1.0, 1e-15);
    }

    [Fact]
    public void The_ends_of_the_log_SNR_are_data_and_noise()
    {
        NoiseLevel.FromLogSnr(double.PositiveInfinity).Should().Be(NoiseLevel.Clean);
        NoiseLevel.FromLogSnr(double.NegativeInfinity).Should().Be(new NoiseLevel(0.0, 1.0));
        NoiseLevel.Clean.LogSnr.Should().Be(double.PositiveInfinity);
        new NoiseLevel(0.0, 1.0).LogSnr.Should().Be(double.NegativeInfinity);
    }

    private static NoiseLevel Level(double alphaBar) => new(Math.Sqrt(alphaBar), Math.Sqrt(1.0 - alphaBar));
}
