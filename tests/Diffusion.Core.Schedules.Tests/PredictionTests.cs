using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

public sealed class PredictionTests
{
    private const double X0 = 0.7;
    private const double Eps = -1.3;
    private const double Rounding = 2.220446049250313e-16;

    /// <summary>Every prediction with every schedule it can be used with.</summary>
    public static TheoryData<string, string> Combinations
    {
        get
        {
            var result = new TheoryData<string, string>();
            foreach (var prediction in TestPredictions.Names)
            {
                foreach (string schedule in prediction == "previous-mean" ? TestSchedules.Names : TestSchedules.AllNames)
                    result.Add(prediction, schedule);
            }

            return result;
        }
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Data_and_noise_come_back_from_the_target_at_every_time(string predictionName, string scheduleName)
    {
        var prediction = TestPredictions.Named(predictionName);
        foreach (var (_, level, previous) in TestSchedules.Levels(TestSchedules.MakeAny(scheduleName)))
        {
            var target = prediction.Target(level, previous);
            IsFinite(target).Should().Be(TestPredictions.HasTarget(prediction, level));
            if (!IsFinite(target))
                continue;
            var (data, noise) = (prediction.ToX0(level, previous), prediction.ToEpsilon(level, previous));
            IsFinite(data).Should().Be(TestPredictions.DeterminesData(prediction, level));
            if (IsFinite(data))
                AssertInverse(data, level, target, X0);
            if (TestPredictions.DeterminesNoise(prediction, level))
                AssertInverse(noise, level, target, Eps);
            else
                noise.Should().Be(new LinearPair(0.0, 0.0));
        }
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public void An_output_converts_to_that_of_every_other_prediction(string predictionName, string scheduleName)
    {
        var from = TestPredictions.Named(predictionName);
        foreach (var (_, level, previous) in TestSchedules.Levels(TestSchedules.MakeAny(scheduleName)))
        {
            foreach (var to in TestPredictions.All)
            {
                if (!TestPredictions.HasTarget(from, level) || (to.Name == "previous-mean" && level == previous))
                    continue;
                if (!TestPredictions.HasTarget(to, level))
                    continue;
                var pair = Prediction.Convert(from, to, level, previous);
                var wanted = to.Target(level, previous);
                if (wanted.First != 0.0 && !TestPredictions.DeterminesData(from, level))
                {
                    IsFinite(pair).Should().BeFalse();
                    continue;
                }

                if (wanted.Second != 0.0 && !TestPredictions.DeterminesNoise(from, level))
                    continue;

                // The coefficients are sums, and these too are only right to the rounding of their terms.
                var (data, noise) = (from.ToX0(level, previous), from.ToEpsilon(level, previous));
                var terms = new LinearPair(
                    Term(wanted.First, data.First) + Term(wanted.Second, noise.First),
                    Term(wanted.First, data.Second) + Term(wanted.Second, noise.Second));
                AssertConverts(pair, terms, level, from.Target(level, previous), wanted.Apply(X0, Eps));
            }
        }
    }

    [Fact]
    public void Converting_to_itself_changes_nothing()
    {
        var (level, previous) = (DiscreteSchedule.Linear().LevelAt(500), DiscreteSchedule.Linear().LevelAt(499));
        foreach (var prediction in TestPredictions.All)
        {
            var (first, second) = Prediction.Convert(prediction, prediction, level, previous);
            first.Should().BeApproximately(0.0, 1e-10, prediction.Name);
            second.Should().BeApproximately(1.0, 1e-10, prediction.Name);
        }
    }

    [Fact]
    public void Velocity_of_a_process_that_does_not_preserve_variance_converts_exactly()
    {
        var level = new NoiseLevel(1.0, 14.6);
        var target = Prediction.Velocity.Target(level, level);

        AssertInverse(Prediction.Velocity.ToX0(level, level), level, target, X0);
        AssertInverse(Prediction.Velocity.ToEpsilon(level, level), level, target, Eps);
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
        var x0 = Prediction.Epsilon.ToX0(level, previous).Apply(Xt, Eps);

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
        using var data = new ScheduledPair(schedule, Prediction.Epsilon.ToX0);
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
        Prediction.EpsilonGivenX0(NoiseLevel.Clean).Should().Be(new LinearPair(0.0, 0.0));
        Prediction.X0.ToEpsilon(NoiseLevel.Clean, NoiseLevel.Clean).Apply(X0, X0).Should().Be(0.0);
    }

    [Fact]
    public void The_previous_mean_of_a_continuous_time_is_refused()
    {
        var level = new LinearVpSchedule().LevelAt(0.5);

        FluentActions.Invoking(() => Prediction.PreviousMean.Target(level, level))
            .Should().Throw<ArgumentException>().WithMessage("*discrete schedule*");
        FluentActions.Invoking(() => Prediction.PreviousMean.ToX0(level, level)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => Prediction.PreviousMean.ToEpsilon(level, level)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Names_are_those_of_the_field_and_all_different()
    {
        TestPredictions.All.Select(prediction => prediction.Name).Should().Equal(TestPredictions.Names);
        TestPredictions.All.Where(prediction => prediction.IsPosteriorMean).Should().Equal(Prediction.PreviousMean);
        TestPredictions.All.Where(prediction => prediction.InputScale is not null).Select(prediction => prediction.Name)
            .Should().Equal("edm", "edm-velocity", "consistency");
    }

    // Every coefficient, product and sum is right to a few units in its last place; what large terms cancel to, to as much of them.
    private static void AssertInverse(LinearPair pair, NoiseLevel level, LinearPair target, double expected)
    {
        var marginal = new LinearPair(level.Alpha, level.Sigma);
        var terms = Magnitude(pair).Apply(Magnitude(marginal).Apply(X0, -Eps), Magnitude(target).Apply(X0, -Eps)) + Math.Abs(expected);

        pair.Apply(marginal.Apply(X0, Eps), target.Apply(X0, Eps)).Should().BeApproximately(expected, 4.0 * Rounding * terms);
    }

    private static void AssertConverts(LinearPair pair, LinearPair terms, NoiseLevel level, LinearPair target, double expected)
    {
        var marginal = new LinearPair(level.Alpha, level.Sigma);
        var scale = terms.Apply(Magnitude(marginal).Apply(X0, -Eps), Magnitude(target).Apply(X0, -Eps)) + Math.Abs(expected);

        pair.Apply(marginal.Apply(X0, Eps), target.Apply(X0, Eps)).Should().BeApproximately(expected, 8.0 * Rounding * scale);
    }

    private static double Term(double first, double second) => first == 0.0 ? 0.0 : Math.Abs(first * second);

    private static bool IsFinite(LinearPair pair) => double.IsFinite(pair.First) && double.IsFinite(pair.Second);

    private static LinearPair Magnitude(LinearPair pair) => new(Math.Abs(pair.First), Math.Abs(pair.Second));
}
