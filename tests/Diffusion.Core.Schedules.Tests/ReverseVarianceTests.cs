using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

public sealed class ReverseVarianceTests
{
    private static readonly (ReverseVariance Form, ReverseVariance Log)[] Twins =
    [
        (ReverseVariance.FixedSmall, ReverseVariance.FixedSmallLog),
        (ReverseVariance.FixedLarge, ReverseVariance.FixedLargeLog),
    ];

    private static readonly ReverseVariance[] All =
    [
        ReverseVariance.FixedSmall, ReverseVariance.FixedLarge, ReverseVariance.FixedSmallLog, ReverseVariance.FixedLargeLog,
        ReverseVariance.Learned, ReverseVariance.LearnedRange,
    ];

    public static TheoryData<string> Schedules => TestSchedules.Names;

    [Fact]
    public void Names_are_all_different_and_two_are_learned()
    {
        All.Select(variance => variance.Name).Should().OnlyHaveUniqueItems();
        All.Where(variance => variance.IsLearned).Should().Equal(ReverseVariance.Learned, ReverseVariance.LearnedRange);
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Every_variance_is_finite_at_every_time_and_the_fixed_equal_their_logarithms(string name)
    {
        var schedule = TestSchedules.Make(name);
        for (var t = 0; t < schedule.Steps; t++)
        {
            var transition = ReverseTransition.Of(schedule, t);
            foreach (var variance in All)
            {
                var (log, slope) = variance.LogVariance(transition);
                double.IsFinite(log).Should().BeTrue();
                double.IsFinite(slope).Should().BeTrue();
                if (variance.IsLearned)
                    continue;
                slope.Should().Be(0.0);
                if (t > 0 || variance != ReverseVariance.FixedSmall)
                    variance.Variance(transition).Should().BeApproximately(Math.Exp(log), 1e-14 * Math.Exp(log));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void A_log_form_is_its_twin_but_for_a_final_variance_of_zero(string name)
    {
        var schedule = TestSchedules.Make(name);
        foreach (var (form, log) in Twins)
        {
            for (var t = 0; t < schedule.Steps; t++)
            {
                var transition = ReverseTransition.Of(schedule, t);
                var expected = Math.Max(form.Variance(transition), 1e-20);
                log.Variance(transition).Should().BeApproximately(expected, 2e-14 * expected);
            }

            // As a sampler asks, with no variance for the step to the data.
            var last = new ReverseTransition(schedule.LevelAt(0), NoiseLevel.Clean);
            log.Variance(last).Should().BeApproximately(1e-20, 1e-33);
            double.IsFinite(log.LogVariance(last).First).Should().BeTrue();
        }
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Learned_range_runs_from_the_small_variance_at_minus_1_to_the_large_at_1(string name)
    {
        var schedule = TestSchedules.Make(name);
        for (var t = 0; t < schedule.Steps; t++)
        {
            var transition = ReverseTransition.Of(schedule, t);
            var pair = ReverseVariance.LearnedRange.LogVariance(transition);

            pair.Apply(1.0, -1.0).Should().BeApproximately(schedule.PosteriorLogVariance[t], 1e-9);
            pair.Apply(1.0, 1.0).Should().BeApproximately(Math.Log(schedule.Betas[t]), 1e-9);
            pair.Apply(1.0, 0.5).Should().BeApproximately(
                (0.75 * Math.Log(schedule.Betas[t])) + (0.25 * schedule.PosteriorLogVariance[t]), 1e-9, "eq. 15 of the paper");
        }
    }

    [Fact]
    public void Learned_is_what_the_network_says()
        => ReverseVariance.Learned.LogVariance(ReverseTransition.Of(DiscreteSchedule.Linear(), 3)).Should().Be(new LinearPair(0.0, 1.0));

    [Fact]
    public void Every_variance_gives_a_finite_reverse_process_at_both_ends_in_every_precision()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Linear().RescaledToZeroTerminalSnr();
        var t = TestTensors.Times(0, 1, 998, 999);
        foreach (var type in new[] { torch.ScalarType.Float64, torch.ScalarType.Float32, torch.ScalarType.BFloat16 })
        {
            foreach (var variance in All)
            {
                using var process = new ReverseProcess(schedule, Prediction.Velocity, variance);
                var xt = torch.ones([4, 1, 2], dtype: type);
                using var result = process.Transition(xt, t, torch.ones([4, variance.IsLearned ? 2 : 1, 2], dtype: type));

                foreach (var tensor in new[] { result.Mean, result.Variance, result.LogVariance, result.Data })
                    tensor.to(torch.ScalarType.Float64).contiguous().data<double>().ToArray().Should().OnlyContain(x => double.IsFinite(x));
            }
        }
    }
}
