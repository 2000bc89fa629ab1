using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

public sealed class ScheduledValueTests
{
    private static readonly DiscreteSchedule Schedule = DiscreteSchedule.FromBetas([0.1, 0.2, 0.3]);

    [Fact]
    public void Values_are_gathered_for_each_sample_in_the_type_of_the_data()
    {
        using var value = new ScheduledValue(Schedule, [0.1, 0.2, 0.3]);
        using var t = TestTensors.Times(2, 0, 2, 1);
        using var single = torch.zeros([4, 3, 2, 2]);
        using var precise = torch.zeros([4], dtype: torch.ScalarType.Float64);

        using var image = value.At(t, single);
        using var vector = value.At(t, precise);

        image.shape.Should().Equal(4, 1, 1, 1);
        image.data<float>().ToArray().Should().Equal(0.3f, 0.1f, 0.3f, 0.2f);
        vector.shape.Should().Equal(4);
        vector.data<double>().ToArray().Should().Equal(0.3, 0.1, 0.3, 0.2);
    }

    [Fact]
    public void A_function_sees_each_level_and_the_one_before()
    {
        using var value = new ScheduledValue(Schedule, (level, previous) => level.Alpha * level.Alpha / (previous.Alpha * previous.Alpha));
        using var t = TestTensors.Times(0, 1, 2);
        using var like = torch.zeros([3], dtype: torch.ScalarType.Float64);

        using var ratios = value.At(t, like);

        RelativeError.OfEach(ratios.data<double>().ToArray(), [0.9, 0.8, 0.7]).Should().BeLessThan(1e-15);
    }

    [Fact]
    public void Times_that_are_not_contiguous_are_read_in_their_order()
    {
        using var value = new ScheduledValue(Schedule, [0.1, 0.2, 0.3]);
        using var pairs = TestTensors.Times(2, 99, 0, 99);
        using var table = pairs.view(2, 2);
        using var t = table.select(1, 0);
        using var like = torch.zeros([2], dtype: torch.ScalarType.Float64);

        using var result = value.At(t, like);

        result.data<double>().ToArray().Should().Equal(0.3, 0.1);
    }

    [Fact]
    public void Tables_are_made_once_for_each_type_and_freed_with_their_owner()
    {
        using var t = TestTensors.Times(0);
        using var single = torch.zeros([1]);
        using var precise = torch.zeros([1], dtype: torch.ScalarType.Float64);
        var value = new ScheduledValue(Schedule, [0.1, 0.2, 0.3]);

        LiveTensors.Change(() => value.At(t, single).Dispose()).Should().Be(1);
        LiveTensors.Change(() => value.At(t, single).Dispose()).Should().Be(0);
        LiveTensors.Change(() => value.At(t, precise).Dispose()).Should().Be(1);
        LiveTensors.Change(() => value.At(t, precise).Dispose()).Should().Be(0);
        LiveTensors.Change(value.Dispose).Should().Be(-2);
        FluentActions.Invoking(() => value.At(t, single)).Should().Throw<ObjectDisposedException>();
        FluentActions.Invoking(value.Dispose).Should().NotThrow();
    }

    [Fact]
    public void A_table_outlives_the_scope_it_was_first_used_in()
    {
        using var value = new ScheduledValue(Schedule, [0.1, 0.2, 0.3]);
        using var t = TestTensors.Times(1);
        using var like = torch.zeros([1], dtype: torch.ScalarType.Float64);
        using (torch.NewDisposeScope())
            value.At(t, like);

        using var again = value.At(t, like);

        again.item<double>().Should().Be(0.2);
    }

    [Fact]
    public void A_table_made_in_inference_mode_serves_training()
    {
        using var scope = torch.NewDisposeScope();
        using var value = new ScheduledValue(Schedule, [0.1, 0.2, 0.3]);
        var t = TestTensors.Times(1);
        var x = TestTensors.Filled(3.0, [1]).requires_grad_();
        using (torch.inference_mode())
            value.At(t, x);

        x.mul(value.At(t, x)).sum().backward();

        x.grad!.item<double>().Should().Be(0.2);
    }

    [Fact]
    public void Many_threads_share_one_table()
    {
        using var t = TestTensors.Times(2, 1, 0);
        using var like = torch.zeros([3], dtype: torch.ScalarType.Float64);
        using var value = new ScheduledValue(Schedule, [0.1, 0.2, 0.3]);
        var wrong = 0;

        var change = LiveTensors.Change(() => Parallel.For(0, 64, _ =>
        {
            using var result = value.At(t, like);
            if (!result.data<double>().ToArray().SequenceEqual([0.3, 0.2, 0.1]))
                Interlocked.Increment(ref wrong);
        }));

        wrong.Should().Be(0);
        change.Should().Be(1);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(3)]
    [InlineData(1L << 40)]
    public void An_index_outside_the_schedule_is_refused_before_the_native_call(long index)
    {
        using var value = new ScheduledValue(Schedule, [0.1, 0.2, 0.3]);
        using var t = TestTensors.Times(0, index);
        using var like = torch.zeros([2]);

        FluentActions.Invoking(() => value.At(t, like)).Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*[0, 2]*got {index}*");
    }

    [Fact]
    public void Times_of_another_type_than_the_schedule_has_are_refused()
    {
        using var discrete = new ScheduledValue(Schedule, [0.1, 0.2, 0.3]);
        using var continuous = new ScheduledValue(new LinearVpSchedule(), (level, _) => level.Alpha);
        using var indices = TestTensors.Times(0);
        using var times = TestTensors.Values(0.5);
        using var like = torch.zeros([1]);

        FluentActions.Invoking(() => discrete.At(times, like)).Should().Throw<ArgumentException>().WithMessage("*Int64*Float64*");
        FluentActions.Invoking(() => continuous.At(indices, like)).Should().Throw<ArgumentException>().WithMessage("*floating point*Int64*");
    }

    [Fact]
    public void A_table_of_another_length_is_refused()
    {
        FluentActions.Invoking(() => new ScheduledValue(Schedule, [0.1, 0.2])).Should().Throw<ArgumentException>().WithMessage("*3 values*got 2*");
    }

    [Fact]
    public void A_continuous_schedule_is_evaluated_at_the_times_given()
    {
        var schedule = new LinearVpSchedule();
        using var value = new ScheduledValue(schedule, (level, _) => level.Sigma);
        using var t = TestTensors.Values(0.0, 0.25, 1.0);
        using var like = torch.zeros([3, 2], dtype: torch.ScalarType.Float64);

        using var result = value.At(t, like);

        result.shape.Should().Equal(3, 1);
        result.data<double>().ToArray().Should().Equal(0.0, schedule.Sigma(0.25), schedule.Sigma(1.0));
        LiveTensors.Change(() => value.At(t, like).Dispose()).Should().Be(0);
    }

    [Theory]
    [InlineData(-0.1)]
    [InlineData(1.1)]
    [InlineData(double.NaN)]
    public void A_time_outside_a_continuous_schedule_is_refused(double time)
    {
        using var value = new ScheduledValue(new LinearVpSchedule(), (level, _) => level.Sigma);
        using var t = TestTensors.Values(time);
        using var like = torch.zeros([1]);

        FluentActions.Invoking(() => value.At(t, like)).Should().Throw<ArgumentOutOfRangeException>().WithMessage("*[0, 1]*");
    }
}
