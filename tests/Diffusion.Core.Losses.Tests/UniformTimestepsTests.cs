using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses.Tests;

public class UniformTimestepsTests
{
    [Fact]
    public void Every_index_of_a_discrete_schedule_is_as_likely_as_any_other()
    {
        using var generator = new Generator(1);
        using var t = new UniformTimesteps().Sample(DiscreteSchedule.Linear(10), 20_000, generator);

        t.dtype.Should().Be(ScalarType.Int64);
        t.device_type.Should().Be(DeviceType.CPU);
        var counts = new int[10];
        foreach (var index in t.data<long>())
            counts[index]++;

        // Pearson's statistic with 9 degrees of freedom: 99.99 % quantile 33.7.
        counts.Sum(count => (count - 2000.0) * (count - 2000.0) / 2000.0).Should().BeLessThan(33.7);
    }

    [Fact]
    public void The_only_index_of_a_schedule_of_one_step_is_zero()
    {
        using var generator = new Generator(1);
        using var t = new UniformTimesteps().Sample(DiscreteSchedule.FromBetas([0.5]), 4, generator);

        t.data<long>().ToArray().Should().Equal(0, 0, 0, 0);
    }

    [Fact]
    public void Times_of_a_continuous_schedule_fill_its_range_in_double_precision()
    {
        using var generator = new Generator(1);
        using var t = new UniformTimesteps().Sample(new Range(-2.0, 6.0), 20_000, generator);

        t.dtype.Should().Be(ScalarType.Float64);
        var values = t.data<double>().ToArray();
        values.Should().OnlyContain(value => value >= -2.0 && value <= 6.0);
        values.Min().Should().BeLessThan(-1.99);
        values.Max().Should().BeGreaterThan(5.99);

        // Four standard errors of the mean of 20,000 uniform draws over a range of 8.
        values.Average().Should().BeApproximately(2.0, 4 * 8 / Math.Sqrt(12 * 20_000));
    }

    [Fact]
    public void The_generator_decides_and_nothing_is_left_behind()
    {
        long[] Draw(ulong seed)
        {
            using var generator = new Generator(seed);
            using var t = new UniformTimesteps().Sample(DiscreteSchedule.Linear(), 16, generator);
            return t.data<long>().ToArray();
        }

        Draw(3).Should().Equal(Draw(3)).And.NotEqual(Draw(4));
        LiveTensors.Change(() => Draw(3)).Should().Be(0);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Bad_arguments_are_refused()
    {
        using var generator = new Generator(1);
        var sampler = new UniformTimesteps();
        FluentActions.Invoking(() => sampler.Sample(null!, 1, generator)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => sampler.Sample(DiscreteSchedule.Linear(), 1, null!)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => sampler.Sample(DiscreteSchedule.Linear(), 0, generator)).Should().Throw<ArgumentOutOfRangeException>();
    }

    private sealed class Range(double min, double max) : INoiseSchedule
    {
        public double MinTime => min;

        public double MaxTime => max;

        public NoiseLevel LevelAt(double t) => throw new NotSupportedException();
    }
}
