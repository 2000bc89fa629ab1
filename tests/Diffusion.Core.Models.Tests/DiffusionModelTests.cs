using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>One translation between a network and what losses and samplers compute with.</summary>
public class DiffusionModelTests
{
    [Fact]
    public void Training_and_sampling_pass_the_same_input_and_timestep_to_the_network()
    {
        foreach (var (schedule, time) in new (INoiseSchedule, double)[]
        {
            (DiscreteSchedule.Cosine(100), 37), (DiscreteSchedule.Linear().Respaced("50"), 20), (new EdmSchedule(), 0.3), (new RectifiedFlowSchedule(1000.0), 250),
        })
        {
            foreach (var prediction in new[] { Prediction.Epsilon, Prediction.Edm() })
            {
                var seen = new List<(double[] Input, double[] Timesteps)>();
                var network = new DelegateDenoiser((x, t, _) =>
                {
                    seen.Add((Values(x), Values(t)));
                    return x.clone();
                });
                using var model = new DiffusionModel(network, schedule, prediction);
                using var x = randn(3, 2, dtype: ScalarType.Float64);
                using var times = schedule is DiscreteSchedule
                    ? full([3], (long)time, dtype: ScalarType.Int64)
                    : full([3], time, dtype: ScalarType.Float64);
                using var trained = model.Predict(x, times);
                using var sampled = model.Predict(x, time, schedule.LevelAt(time));
                seen[1].Input.Should().BeEquivalentTo(seen[0].Input, options => options.WithStrictOrdering());
                seen[1].Timesteps.Should().Equal(seen[0].Timesteps);
            }
        }
    }

    [Fact]
    public void X0_and_epsilon_are_those_of_the_process()
    {
        var schedule = DiscreteSchedule.Cosine(100);
        using var x0 = randn(2, 3, dtype: ScalarType.Float64);
        using var noise = randn(2, 3, dtype: ScalarType.Float64);
        var level = schedule.LevelAt(40);
        using var xt = new LinearPair(level.Alpha, level.Sigma).Apply(x0, noise);
        foreach (var form in new[] { Prediction.Epsilon, Prediction.X0, Prediction.Velocity, Prediction.Edm(), Prediction.FlowVelocity })
        {
            using var target = form.Target(level, schedule.PreviousLevel(40)).Apply(x0, noise);
            using var model = new DiffusionModel(new DelegateDenoiser((_, _) => target.clone()), schedule, form);
            using var prediction = model.Predict(xt, 40, level);
            Distance(prediction.X0, x0).Should().BeLessThan(1e-12, form.Name);
            Distance(prediction.Epsilon, noise).Should().BeLessThan(1e-12, form.Name);
            using var mixed = prediction.Mix(0.3, 0.4);
            using var expected = new LinearPair(0.3, 0.4).Apply(x0, noise);
            Distance(mixed, expected).Should().BeLessThan(1e-12, form.Name);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_replaced_x0_brings_its_epsilon_or_leaves_it(bool rederive)
    {
        var schedule = DiscreteSchedule.Cosine(100);
        var level = schedule.LevelAt(40);
        foreach (var form in new[] { Prediction.Epsilon, Prediction.X0, Prediction.Velocity })
        {
            using var output = randn(2, 3, dtype: ScalarType.Float64);
            using var xt = randn(2, 3, dtype: ScalarType.Float64);
            using var model = new DiffusionModel(new DelegateDenoiser((_, _) => output.clone()), schedule, form);
            using var prediction = model.Predict(xt, 40, level);
            using var before = prediction.Epsilon.clone();
            using var other = zeros_like(xt);
            if (rederive)
                prediction.ReplaceX0(other.clone());
            else
                prediction.ReplaceX0KeepingEpsilon(other.clone());
            Distance(prediction.X0, other).Should().Be(0.0);
            using var derived = xt.div(level.Sigma);
            Distance(prediction.Epsilon, rederive ? derived : before).Should().BeLessThan(1e-12);
            using var mixed = prediction.Mix(0.3, 0.4);
            using var expected = prediction.Epsilon.mul(0.4);
            Distance(mixed, expected).Should().BeLessThan(1e-12);
        }
    }

    [Fact]
    public void A_learned_variance_is_the_second_half_of_the_channels()
    {
        var schedule = DiscreteSchedule.Cosine(100);
        using var xt = randn(2, 3, 4, 4);
        using var output = randn(2, 6, 4, 4);
        using var model = new DiffusionModel(new DelegateDenoiser((_, _) => output.clone()), schedule) { LearnsVariance = true };
        using var prediction = model.Predict(xt, 40, schedule.LevelAt(40));
        Distance(prediction.Epsilon, output.narrow(1, 0, 3)).Should().Be(0.0);
        Distance(prediction.Variance!, output.narrow(1, 3, 3)).Should().Be(0.0);
        using var t = full([2], 40L, dtype: ScalarType.Int64);
        using var raw = model.Predict(xt, t);
        raw.shape.Should().Equal(2, 6, 4, 4);
    }

    [Fact]
    public void An_output_that_does_not_fit_is_named()
    {
        var schedule = DiscreteSchedule.Cosine(100);
        using var xt = randn(2, 3, 4, 4);
        using var t = full([2], 40L, dtype: ScalarType.Int64);
        void Throws(Func<Tensor, Tensor> network, string message, bool learnsVariance = false)
        {
            using var model = new DiffusionModel(new DelegateDenoiser((x, _) => network(x)), schedule) { LearnsVariance = learnsVariance };
            FluentActions.Invoking(() => model.Predict(xt, t)).Should().Throw<ArgumentException>().WithMessage(message);
            FluentActions.Invoking(() => model.Predict(xt, 40, schedule.LevelAt(40))).Should().Throw<ArgumentException>().WithMessage(message);
        }

        Throws(_ => null!, "*got null*");
        Throws(x => x.narrow(1, 0, 2), "*[2, 3, 4, 4]*[2, 2, 4, 4]*");
        Throws(x => x.clone(), "*[2, 6, 4, 4]*[2, 3, 4, 4]*", learnsVariance: true);
        Throws(x => x.to(ScalarType.Int64), "*Int64*");
    }

    [Fact]
    public void Images_have_a_range_and_points_have_none()
    {
        using var model = new DiffusionModel(new DelegateDenoiser((x, _) => x.clone()), DiscreteSchedule.Cosine(100));
        model.RangeOf([4, 1, 8, 8]).Should().Be(DataRange.Images);
        model.RangeOf([4, 2]).Should().Be(DataRange.Unbounded);
        model.With(new DataRange(0.0, 1.0)).RangeOf([4, 2]).Should().Be(new DataRange(0.0, 1.0));
        FluentActions.Invoking(() => new DataRange(1.0, 1.0)).Should().Throw<ArgumentException>();
    }

    private static double[] Values(Tensor tensor)
    {
        using var doubles = tensor.to(ScalarType.Float64).contiguous();
        return doubles.data<double>().ToArray();
    }

    private static double Distance(Tensor first, Tensor second)
    {
        using var difference = first.sub(second).abs().max();
        return difference.to(ScalarType.Float64).item<double>();
    }
}
