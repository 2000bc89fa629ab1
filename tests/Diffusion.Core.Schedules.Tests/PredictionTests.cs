using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

public sealed class PredictionTests
{
    private const double X0 = 0.7;
    private const double Eps = -1.3;
    private const double Rounding = 2.220446049250313e-16;

    private static readonly IPrediction[] All = [Prediction.Epsilon, Prediction.Data, Prediction.Velocity, Prediction.PreviousMean];

    public static TheoryData<string, string> Combinations
    {
        get
        {
            var result = new TheoryData<string, string>();
            foreach (var prediction in All)
            {
                foreach (string schedule in TestSchedules.Names)
                    result.Add(prediction.Name, schedule);
            }

            return result;
        }
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Data_and_noise_come_back_from_the_target_at_every_time(string predictionName, string scheduleName)
    {
        var prediction = Named(predictionName);
        var schedule = TestSchedules.Make(scheduleName);
        for (var t = 0; t < schedule.Steps; t++)
        {
            var (level, previous) = (schedule.LevelAt(t), schedule.PreviousLevel(t));
            if (level.Alpha == 0.0 && prediction == Prediction.Epsilon)
            {
                double.IsFinite(prediction.ToData(level, previous).First).Should().BeFalse("nothing of the data is left");
                continue;
            }

            var target = prediction.Target(level, previous);
            AssertInverse(prediction.ToData(level, previous), level, target, X0);
            AssertInverse(prediction.ToNoise(level, previous), level, target, Eps);
        }
    }

    [Fact]
    public void Velocity_of_a_process_that_does_not_preserve_variance_converts_exactly()
    {
        var level = new NoiseLevel(1.0, 14.6);
        var target = Prediction.Velocity.Target(level, level);

        AssertInverse(Prediction.Velocity.ToData(level, level), level, target, X0);
        AssertInverse(Prediction.Velocity.ToNoise(level, level), level, target, Eps);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(500)]
    [InlineData(999)]
    public void The_posterior_mean_is_Algorithm_2_of_DDPM_and_not_the_inverse_of_the_last_step(int t)
    {
        var schedule = DiscreteSchedule.Linear();
        var (beta, bar) = (schedule.Betas[t], schedule.AlphaBars[t]);
        const double Xt = 0.4;
        var (level, previous) = (schedule.LevelAt(t), schedule.PreviousLevel(t));
        var x0 = Prediction.Epsilon.ToData(level, previous).Apply(Xt, Eps);

        var mean = GaussianTransition.PosteriorMean(level, previous).Apply(x0, Xt);

        var algorithm2 = (Xt - (beta / Math.Sqrt(1.0 - bar) * Eps)) / Math.Sqrt(1.0 - beta);
        var slip = (Xt / Math.Sqrt(1.0 - beta)) - (Math.Sqrt(beta) / Math.Sqrt(1.0 - beta) * Eps);
        mean.Should().BeApproximately(algorithm2, 1e-11);
        if (t > 0)
            Math.Abs(mean - slip).Should().BeGreaterThan(1e-3);
        else
            mean.Should().BeApproximately(slip, 1e-11, "the first step holds all the noise there is");
    }

    [Fact]
    public void The_posterior_mean_of_tensors_is_Algorithm_2_too()
    {
        var schedule = DiscreteSchedule.Linear();
        using var scope = torch.NewDisposeScope();
        using var process = new DdpmProcess(schedule);
        using var data = new ScheduledPair(schedule, Prediction.Epsilon.ToData);
        using var algorithm2 = new ScheduledPair(schedule, (level, previous) =>
        {
            var beta = GaussianTransition.Variance(level, previous);
            return new LinearPair(1.0 / Math.Sqrt(1.0 - beta), -beta / Math.Sqrt(1.0 - beta) / level.Sigma);
        });
        var t = TestTensors.AllTimes(schedule);
        var xt = TestTensors.Filled(0.4, [schedule.Steps, 2]);
        var eps = TestTensors.Filled(Eps, [schedule.Steps, 2]);

        var mean = process.PosteriorMean(data.Apply(t, xt, eps), xt, t);

        mean.sub(algorithm2.Apply(t, xt, eps)).abs().max().item<double>().Should().BeLessThan(1e-11);
    }

    [Fact]
    public void Without_noise_eps_is_taken_as_zero()
    {
        Prediction.NoiseGivenData(NoiseLevel.Clean).Should().Be(new LinearPair(0.0, 0.0));
        Prediction.Data.ToNoise(NoiseLevel.Clean, NoiseLevel.Clean).Apply(X0, X0).Should().Be(0.0);
    }

    [Fact]
    public void The_previous_mean_of_a_continuous_time_is_refused()
    {
        var level = new LinearVpSchedule().LevelAt(0.5);

        FluentActions.Invoking(() => Prediction.PreviousMean.Target(level, level)).Should().Throw<ArgumentException>().WithMessage("*steps*");
        FluentActions.Invoking(() => Prediction.PreviousMean.ToData(level, level)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => Prediction.PreviousMean.ToNoise(level, level)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Names_are_those_of_the_field_and_all_different()
    {
        All.Select(prediction => prediction.Name).Should().Equal("epsilon", "data", "velocity", "previous-mean");
        All.Where(prediction => prediction.IsPosteriorMean).Should().Equal(Prediction.PreviousMean);
    }

    private static IPrediction Named(string name) => All.Single(prediction => prediction.Name == name);

    // Every coefficient, product and sum is right to a few units in its last place; what large terms cancel to, to as much of them.
    private static void AssertInverse(LinearPair pair, NoiseLevel level, LinearPair target, double expected)
    {
        var marginal = new LinearPair(level.Alpha, level.Sigma);
        var terms = Magnitude(pair).Apply(Magnitude(marginal).Apply(X0, -Eps), Magnitude(target).Apply(X0, -Eps)) + Math.Abs(expected);

        pair.Apply(marginal.Apply(X0, Eps), target.Apply(X0, Eps)).Should().BeApproximately(expected, 4.0 * Rounding * terms);
    }

    private static LinearPair Magnitude(LinearPair pair) => new(Math.Abs(pair.First), Math.Abs(pair.Second));
}
