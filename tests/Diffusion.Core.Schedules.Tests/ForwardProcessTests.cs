using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

public sealed class ForwardProcessTests
{
    public static TheoryData<string> Schedules => TestSchedules.Names;

    [Theory]
    [MemberData(nameof(Schedules))]
    public void The_moments_of_a_draw_are_those_of_the_schedule(string name)
    {
        // x_t is linear in the noise, so the two draws +1 and -1 have the mean and the variance of all of them.
        using var scope = torch.NewDisposeScope();
        var schedule = TestSchedules.Make(name);
        using var process = new ForwardProcess(schedule);
        var t = TestTensors.AllTimes(schedule);
        var x0 = TestTensors.Filled(0.7, [schedule.Steps, 1]);
        var noise = TestTensors.Filled(1.0, [schedule.Steps, 1]);

        var plus = process.Sample(x0, t, noise).data<double>().ToArray();
        var minus = process.Sample(x0, t, noise.neg()).data<double>().ToArray();

        for (var i = 0; i < schedule.Steps; i++)
        {
            var (mean, deviation) = ((plus[i] + minus[i]) / 2.0, (plus[i] - minus[i]) / 2.0);
            mean.Should().BeApproximately(0.7 * Math.Sqrt(schedule.AlphaBars[i]), 1e-15);
            (deviation * deviation).Should().BeApproximately(1.0 - schedule.AlphaBars[i], 1e-15);
        }
    }

    [Theory]
    [MemberData(nameof(Schedules))]
    public void A_single_step_has_the_moments_of_its_beta(string name)
    {
        using var scope = torch.NewDisposeScope();
        var schedule = TestSchedules.Make(name);
        using var process = new DdpmProcess(schedule);
        var t = TestTensors.AllTimes(schedule);
        var previous = TestTensors.Filled(0.7, [schedule.Steps, 1]);
        var noise = TestTensors.Filled(1.0, [schedule.Steps, 1]);

        var plus = process.SampleStep(previous, t, noise).data<double>().ToArray();
        var minus = process.SampleStep(previous, t, noise.neg()).data<double>().ToArray();

        for (var i = 0; i < schedule.Steps; i++)
        {
            var (mean, deviation) = ((plus[i] + minus[i]) / 2.0, (plus[i] - minus[i]) / 2.0);
            mean.Should().BeApproximately(0.7 * Math.Sqrt(1.0 - schedule.Betas[i]), 1e-12);
            (deviation * deviation).Should().BeApproximately(schedule.Betas[i], 1e-14);
        }
    }

    [Theory]
    [InlineData(torch.ScalarType.Float32)]
    [InlineData(torch.ScalarType.BFloat16)]
    [InlineData(torch.ScalarType.Float64)]
    public void The_ends_of_a_continuous_schedule_are_times_of_every_type(torch.ScalarType type)
    {
        using var scope = torch.NewDisposeScope();
        var schedule = new Exploding();
        using var process = new ForwardProcess(schedule);
        var ends = torch.tensor(new[] { schedule.MinTime, schedule.MaxTime }).to(type);
        var noise = TestTensors.Filled(1.0, [2, 1]);

        var deviations = process.Sample(torch.zeros_like(noise), ends, noise).data<double>().ToArray();

        deviations[0].Should().BeApproximately(0.01, 2e-5).And.BeGreaterThanOrEqualTo(0.01);
        deviations[1].Should().BeApproximately(0.1, 1e-9).And.BeLessThanOrEqualTo(0.1);
        process.ModelTimesteps(ends).shape.Should().Equal(2);
        FluentActions.Invoking(() => process.Sample(noise, torch.tensor(new[] { 0.05, 0.11 }).to(type), noise))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("*[0.01, 0.1]*got 0.1*");
    }

    [Theory]
    [InlineData(torch.ScalarType.Float32, 5.9604644775390625e-8)]
    [InlineData(torch.ScalarType.BFloat16, 0.00390625)]
    public void In_lower_precision_a_draw_is_right_to_the_rounding_of_its_terms(torch.ScalarType type, double unit)
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Linear();
        using var process = new ForwardProcess(schedule);
        using var generator = new torch.Generator(1);
        var t = TestTensors.AllTimes(schedule);
        var x0 = torch.randn([schedule.Steps, 16], generator: generator).to(type);
        var noise = torch.randn([schedule.Steps, 16], generator: generator).to(type);
        var (x0Double, noiseDouble) = (x0.to(torch.ScalarType.Float64), noise.to(torch.ScalarType.Float64));

        var xt = process.Sample(x0, t, noise);

        // A coefficient, its product and the sum are each rounded once: three units, and a little for their products.
        xt.dtype.Should().Be(type);
        var error = xt.to(torch.ScalarType.Float64).sub(process.Sample(x0Double, t, noiseDouble)).abs();
        var terms = process.Sample(x0Double.abs(), t, noiseDouble.abs());
        error.div(terms).max().item<double>().Should().BeInRange(0.1 * unit, 3.02 * unit);
    }

    public static TheoryData<string, torch.ScalarType, double> LowPrecision
    {
        get
        {
            var result = new TheoryData<string, torch.ScalarType, double>();
            foreach (var prediction in TestPredictions.Names)
            {
                result.Add(prediction, torch.ScalarType.Float32, 5.9604644775390625e-8);
                result.Add(prediction, torch.ScalarType.BFloat16, 0.00390625);
            }

            return result;
        }
    }

    [Theory]
    [MemberData(nameof(LowPrecision))]
    public void In_lower_precision_a_target_and_an_input_are_right_to_the_rounding_of_their_terms(
        string name, torch.ScalarType type, double unit)
    {
        using var scope = torch.NewDisposeScope();
        var (prediction, schedule) = (TestPredictions.Named(name), DiscreteSchedule.Linear());
        using var process = new ForwardProcess(schedule);
        using var terms = new ScheduledPair(schedule, (level, previous) =>
        {
            var (first, second) = prediction.Target(level, previous);
            return new LinearPair(Math.Abs(first), Math.Abs(second));
        });
        using var generator = new torch.Generator(1);
        var t = TestTensors.AllTimes(schedule);
        var x0 = torch.randn([schedule.Steps, 16], generator: generator).to(type);
        var noise = torch.randn([schedule.Steps, 16], generator: generator).to(type);
        var (x0Double, noiseDouble) = (x0.to(torch.ScalarType.Float64), noise.to(torch.ScalarType.Float64));

        var target = process.Target(prediction, x0, t, noise).to(torch.ScalarType.Float64);
        var input = process.NetworkInput(prediction, x0, t).to(torch.ScalarType.Float64);

        var error = target.sub(process.Target(prediction, x0Double, t, noiseDouble)).abs();
        error.div(terms.Apply(t, x0Double.abs(), noiseDouble.abs())).max().item<double>().Should().BeLessThan(3.02 * unit);
        var expected = process.NetworkInput(prediction, x0Double, t);
        input.sub(expected).abs().div(expected.abs()).max().item<double>().Should().BeLessThan(2.01 * unit);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void In_bfloat16_the_first_steps_keep_their_noise(int t)
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Linear();
        using var process = new ForwardProcess(schedule);
        var x0 = torch.zeros([1, 1], dtype: torch.ScalarType.BFloat16);
        var noise = torch.ones([1, 1], dtype: torch.ScalarType.BFloat16);

        var xt = process.Sample(x0, TestTensors.Times(t), noise).to(torch.ScalarType.Float64).item<double>();

        xt.Should().BeApproximately(schedule.Sigma(t), schedule.Sigma(t) / 256.0);
    }

    [Fact]
    public void Each_sample_has_its_own_time_and_any_number_of_dimensions()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Linear();
        using var process = new ForwardProcess(schedule);
        foreach (var shape in new long[][] { [3], [3, 2], [3, 1, 4, 4], [3, 2, 2, 2, 2] })
        {
            var x0 = torch.zeros(shape, dtype: torch.ScalarType.Float64);
            var noise = torch.ones(shape, dtype: torch.ScalarType.Float64);

            var xt = process.Sample(x0, TestTensors.Times(999, 0, 999), noise);

            xt.shape.Should().Equal(shape);
            var rows = xt.reshape(3, -1);
            rows.data<double>().ToArray().Should().OnlyContain(value => value == schedule.Sigma(999) || value == schedule.Sigma(0));
            rows.narrow(0, 1, 1).max().item<double>().Should().Be(schedule.Sigma(0));
        }
    }

    [Fact]
    public void The_target_of_a_prediction_is_its_algebra()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Cosine();
        using var process = new ForwardProcess(schedule);
        var x0 = TestTensors.Filled(0.7, [1, 1]);
        var noise = TestTensors.Filled(-1.3, [1, 1]);
        foreach (var prediction in new[] { Prediction.Epsilon, Prediction.X0, Prediction.Velocity, Prediction.PreviousMean })
        {
            var target = process.Target(prediction, x0, TestTensors.Times(400), noise).item<double>();

            target.Should().BeApproximately(prediction.Target(schedule.LevelAt(400), schedule.LevelAt(399)).Apply(0.7, -1.3), 1e-15);
        }
    }

    [Fact]
    public void Gradients_reach_the_data()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Linear();
        using var process = new ForwardProcess(schedule);
        var x0 = torch.zeros([2, 3], dtype: torch.ScalarType.Float64).requires_grad_();
        var noise = torch.ones([2, 3], dtype: torch.ScalarType.Float64);

        process.Sample(x0, TestTensors.Times(10, 900), noise).sum().backward();

        x0.grad!.narrow(0, 0, 1).max().item<double>().Should().Be(schedule.Alpha(10));
        x0.grad!.narrow(0, 1, 1).max().item<double>().Should().Be(schedule.Alpha(900));
    }

    [Fact]
    public void Tensors_that_do_not_fit_each_other_are_refused()
    {
        using var scope = torch.NewDisposeScope();
        using var process = new DdpmProcess(DiscreteSchedule.Linear(10));
        var x = torch.zeros([2, 3]);
        var t = TestTensors.Times(0, 9);

        void Refuses(Action action, string message)
            => action.Should().Throw<ArgumentException>().WithMessage(message);

        Refuses(() => process.Sample(x, t, torch.zeros([2, 4])), "*must have the shape of*[2, 3]*[2, 4]*");
        Refuses(() => process.Sample(x, TestTensors.Times(0), x), "*t must have shape [2], got [1]*");
        Refuses(() => process.Sample(x, TestTensors.Times(0, 0).view(2, 1), x), "*t must have shape [2], got [2, 1]*");
        Refuses(() => process.Sample(x, t, torch.zeros([2, 3], dtype: torch.ScalarType.Float64)), "*Float32*Float64*");
        Refuses(() => process.Sample(x.to(torch.ScalarType.Int64), t, x.to(torch.ScalarType.Int64)), "*floating point*Int64*");
        Refuses(() => process.Sample(torch.tensor(1.0), t, torch.tensor(1.0)), "*batch dimension*");
        Refuses(() => process.SampleStep(x, t, torch.zeros([2, 4])), "*[2, 3]*[2, 4]*");
        Refuses(() => process.PosteriorMean(x, torch.zeros([3, 3]), t), "*[2, 3]*[3, 3]*");
        Refuses(() => process.PosteriorVariance(TestTensors.Times(0), x), "*[2]*[1]*");
        Refuses(() => process.Target(Prediction.Epsilon, x, TestTensors.Times(0, 10), x), "*[0, 9]*got 10*");
        FluentActions.Invoking(() => process.Sample(null!, t, x)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => process.Sample(x, null!, x)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => process.Target(null!, x, t, x)).Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void A_disposed_process_is_refused()
    {
        using var scope = torch.NewDisposeScope();
        var process = new ForwardProcess(DiscreteSchedule.Linear(10));
        var (t, x) = (TestTensors.Times(0), torch.zeros([1, 2]));
        process.Dispose();

        FluentActions.Invoking(() => process.Sample(x, t, x)).Should().Throw<ObjectDisposedException>();
        FluentActions.Invoking(() => process.Target(Prediction.X0, x, t, x)).Should().Throw<ObjectDisposedException>();
        FluentActions.Invoking(process.Dispose).Should().NotThrow();
    }

    [Fact]
    public void Nothing_is_left_behind()
    {
        using var x0 = torch.zeros([4, 3, 8, 8]);
        using var noise = torch.zeros([4, 3, 8, 8]);
        using var t = TestTensors.Times(0, 1, 500, 999);

        var change = LiveTensors.Change(() =>
        {
            using var process = new DdpmProcess(DiscreteSchedule.Linear());
            void Use()
            {
                process.Sample(x0, t, noise).Dispose();
                process.SampleStep(x0, t, noise).Dispose();
                process.PosteriorMean(x0, noise, t).Dispose();
                process.PosteriorVariance(t, x0).Dispose();
                process.Target(Prediction.Velocity, x0, t, noise).Dispose();
            }

            Use();
            LiveTensors.Change(() =>
            {
                for (var i = 0; i < 100; i++)
                    Use();
            }).Should().Be(0);
        });

        change.Should().Be(0);
    }

    /// <summary>sigma = t between two ends that single precision rounds outwards.</summary>
    private sealed class Exploding : INoiseSchedule
    {
        public double MinTime => 0.01;

        public double MaxTime => 0.1;

        public NoiseLevel LevelAt(double t) => t >= MinTime && t <= MaxTime ? new(1.0, t) : throw new ArgumentOutOfRangeException(nameof(t));
    }
}
