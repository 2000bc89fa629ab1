using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

public sealed class ReverseProcessTests
{
    private static readonly ReverseVariance[] Variances = [ReverseVariance.FixedSmall, ReverseVariance.FixedLarge];

    public static TheoryData<string> Schedules => TestSchedules.Names;

    [Theory]
    [MemberData(nameof(Schedules))]
    public void A_perfect_network_of_any_prediction_gives_the_posterior_at_every_time(string name)
    {
        using var scope = torch.NewDisposeScope();
        var schedule = TestSchedules.Make(name);
        using var forward = new DdpmProcess(schedule);
        using var generator = new torch.Generator(1);
        var t = TestTensors.AllTimes(schedule);
        var x0 = torch.randn([schedule.Steps, 4], dtype: torch.ScalarType.Float64, generator: generator);
        var noise = torch.randn([schedule.Steps, 4], dtype: torch.ScalarType.Float64, generator: generator);
        var xt = forward.Sample(x0, t, noise);
        var mean = forward.PosteriorMean(x0, xt, t);
        foreach (var prediction in TestPredictions.All)
        {
            if (!TestPredictions.DeterminesData(prediction, schedule.LevelAt(schedule.MaxTime)))
                continue;
            using var reverse = new ReverseProcess(schedule, prediction) { Clip = false };

            using var result = reverse.Transition(xt, t, forward.Target(prediction, x0, t, noise));

            // The coefficients magnify what rounding left of x_t and of the output: 20,000 times at the end of the cosine schedule.
            var greatest = Enumerable.Range(0, schedule.Steps)
                .Select(i => prediction.ToX0(schedule.LevelAt(i), schedule.PreviousLevel(i)))
                .Max(pair => Math.Abs(pair.First) + Math.Abs(pair.Second));
            result.Data.sub(x0).abs().max().item<double>().Should().BeLessThan(1e-15 * (1.0 + greatest));
            result.Mean.sub(mean).abs().max().item<double>().Should().BeLessThan(2e-11);
        }
    }

    [Fact]
    public void Fixed_small_is_the_posterior_and_fixed_large_is_beta()
    {
        var schedule = DiscreteSchedule.Linear();
        var first = ReverseTransition.Of(schedule, 0);
        for (var t = 1; t < schedule.Steps; t++)
        {
            var transition = ReverseTransition.Of(schedule, t);
            ReverseVariance.FixedSmall.Variance(transition).Should().BeApproximately(schedule.PosteriorVariance[t], 1e-15);
            ReverseVariance.FixedLarge.Variance(transition).Should().BeApproximately(schedule.Betas[t], 1e-15);
        }

        ReverseVariance.FixedSmall.Variance(first).Should().Be(0.0);
        ReverseVariance.FixedLarge.Variance(first).Should().Be(schedule.PosteriorVariance[1]);
        ReverseVariance.FixedSmall.LogVariance(first).First.Should().Be(Math.Log(schedule.PosteriorVariance[1]));
        ReverseVariance.FixedLarge.LogVariance(first).First.Should().Be(Math.Log(schedule.PosteriorVariance[1]));
    }

    [Fact]
    public void A_sampler_that_adds_no_noise_in_the_final_step_leaves_its_variance_at_zero()
    {
        var transition = new ReverseTransition(DiscreteSchedule.Linear().LevelAt(100), NoiseLevel.Clean);

        transition.IsFinal.Should().BeTrue();
        foreach (var variance in Variances)
            variance.Variance(transition).Should().Be(0.0);
    }

    [Fact]
    public void Clipping_comes_before_the_mean_and_changes_it()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Linear();
        using var forward = new DdpmProcess(schedule);
        using var clipping = new ReverseProcess(schedule);
        using var plain = new ReverseProcess(schedule) { Clip = false };
        var (t, xt, output) = (TestTensors.Times(500), TestTensors.Filled(1.5, [1, 1]), TestTensors.Filled(-1.0, [1, 1]));

        using var clipped = clipping.Transition(xt, t, output);
        using var unclipped = plain.Transition(xt, t, output);

        unclipped.Data.item<double>().Should().BeGreaterThan(5.0);
        clipped.Data.item<double>().Should().Be(1.0);
        clipped.Mean.item<double>().Should().Be(forward.PosteriorMean(clipped.Data, xt, t).item<double>());
        clipped.Mean.item<double>().Should().BeLessThan(unclipped.Mean.item<double>() - 0.01);
    }

    [Fact]
    public void A_predicted_mean_is_taken_at_its_word_and_only_the_data_is_clipped()
    {
        using var scope = torch.NewDisposeScope();
        using var reverse = new ReverseProcess(DiscreteSchedule.Linear(), Prediction.PreviousMean);
        var (xt, output) = (TestTensors.Filled(0.5, [1, 1]), TestTensors.Filled(0.9, [1, 1]));

        using var result = reverse.Transition(xt, TestTensors.Times(500), output);

        result.Mean.item<double>().Should().Be(0.9);
        result.Data.item<double>().Should().Be(1.0);
        result.Dispose();
        output.item<double>().Should().Be(0.9);
    }

    [Fact]
    public void Without_terminal_signal_eps_is_refused_and_velocity_is_finite()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Linear().RescaledToZeroTerminalSnr();
        FluentActions.Invoking(() => new ReverseProcess(schedule, Prediction.Epsilon)).Should().Throw<ArgumentException>()
            .WithMessage("*'epsilon' does not determine x_0 at t = 999, where alpha is 0*").And.ParamName.Should().Be("prediction");
        using var reverse = new ReverseProcess(schedule, Prediction.Velocity) { Clip = false };

        using var result = reverse.Transition(TestTensors.Filled(0.4, [1, 1]), TestTensors.Times(999), TestTensors.Filled(-0.7, [1, 1]));

        result.Data.item<double>().Should().Be(0.7);
        double.IsFinite(result.Mean.item<double>()).Should().BeTrue();
        result.Variance.item<double>().Should().BeGreaterThan(0.0);
    }

    [Fact]
    public void A_variance_without_a_finite_logarithm_is_refused()
    {
        FluentActions.Invoking(() => new ReverseProcess(DiscreteSchedule.Linear(), variance: new NoVariance())).Should()
            .Throw<ArgumentException>().WithMessage("*'none' must be finite*t = 0*").And.ParamName.Should().Be("variance");
    }

    [Fact]
    public void Gradients_reach_the_network_through_mean_and_learned_variance()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Linear();
        using var reverse = new ReverseProcess(schedule, variance: ReverseVariance.Learned) { Clip = false };
        var output = TestTensors.Filled(0.1, [1, 2, 1]).requires_grad_();
        using var result = reverse.Transition(TestTensors.Filled(0.4, [1, 1, 1]), TestTensors.Times(500), output);

        result.Mean.sum().add(result.LogVariance.sum()).backward();

        var gradient = output.grad!.reshape(-1).data<double>().ToArray();
        var toData = Prediction.Epsilon.ToX0(schedule.LevelAt(500), schedule.LevelAt(499));
        gradient[0].Should().BeApproximately(schedule.PosteriorMeanCoefficient1[500] * toData.Second, 1e-15);
        gradient[1].Should().Be(1.0);
    }

    [Fact]
    public void Tensors_that_do_not_fit_each_other_are_refused()
    {
        using var scope = torch.NewDisposeScope();
        using var plain = new ReverseProcess(DiscreteSchedule.Linear(10));
        using var learned = new ReverseProcess(DiscreteSchedule.Linear(10), variance: ReverseVariance.Learned);
        var (t, xt) = (TestTensors.Times(0, 9), torch.zeros([2, 3, 4]));

        void Refuses(ReverseProcess process, torch.Tensor x, torch.Tensor time, torch.Tensor output, string message)
            => FluentActions.Invoking(() => process.Transition(x, time, output)).Should().Throw<ArgumentException>().WithMessage(message);

        Refuses(plain, xt, t, torch.zeros([2, 6, 4]), "*output must have shape [2, 3, 4], got [2, 6, 4]*");
        Refuses(plain, xt, t, torch.zeros([2, 3, 4], dtype: torch.ScalarType.Float64), "*Float32*Float64*");
        Refuses(plain, xt, TestTensors.Times(0), xt, "*t must have shape [2], got [1]*");
        Refuses(plain, xt, TestTensors.Times(0, 10), xt, "*[0, 9]*got 10*");
        Refuses(learned, xt, t, xt, "*output must have shape [2, 6, 4], got [2, 3, 4]*");
        Refuses(learned, torch.zeros([2]), t, torch.zeros([2]), "*must have channels*");
    }

    [Fact]
    public void Nothing_is_left_behind()
    {
        using var xt = torch.zeros([4, 3, 8, 8]);
        using var output = torch.zeros([4, 6, 8, 8]);
        using var first = output.narrow(1, 0, 3);
        using var t = TestTensors.Times(0, 1, 500, 999);

        LiveTensors.Change(() =>
        {
            using var plain = new ReverseProcess(DiscreteSchedule.Linear());
            using var learned = new ReverseProcess(
                DiscreteSchedule.Linear(), Prediction.PreviousMean, ReverseVariance.LearnedRange);
            void Use()
            {
                plain.Transition(xt, t, first).Dispose();
                learned.Transition(xt, t, output).Dispose();
            }

            Use();
            LiveTensors.Change(() =>
            {
                for (var i = 0; i < 100; i++)
                    Use();
            }).Should().Be(0);
            ReverseDistribution? kept = null;
            LiveTensors.Change(() => kept = plain.Transition(xt, t, first)).Should().Be(4);
            kept!.Dispose();
        }).Should().Be(0);
    }

    private sealed class NoVariance : ReverseVariance
    {
        public override string Name => "none";

        public override LinearPair LogVariance(ReverseTransition transition) => new(double.NegativeInfinity, 0.0);
    }
}
