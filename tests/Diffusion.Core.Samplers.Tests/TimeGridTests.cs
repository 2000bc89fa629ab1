using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

public class TimeGridTests
{
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();

    [Fact]
    public void A_grid_of_ones_own_has_the_levels_of_the_schedule_and_ends_without_noise()
    {
        var grid = new TimeGrid(_schedule, [999.0, 500.0, 500.0, 12.5]);

        grid.Count.Should().Be(4);
        grid.Schedule.Should().BeSameAs(_schedule);
        grid.Times.ToArray().Should().Equal(999.0, 500.0, 500.0, 12.5);
        grid.Levels.ToArray().Should().Equal(
            _schedule.LevelAt(999), _schedule.LevelAt(500), _schedule.LevelAt(500), _schedule.LevelAt(12.5), NoiseLevel.Clean);
    }

    [Fact]
    public void The_last_step_may_lead_elsewhere()
    {
        var end = _schedule.LevelAt(0);
        var grid = new TimeGrid(_schedule, [999.0, 500.0], end);

        grid.Levels[^1].Should().Be(end);
        grid.WithFinalLevel(NoiseLevel.Clean).Levels.ToArray().Should().Equal(_schedule.LevelAt(999), _schedule.LevelAt(500), NoiseLevel.Clean);
        grid.Levels[^1].Should().Be(end, "a grid is immutable");
    }

    [Fact]
    public void Levels_may_be_chosen_apart_from_the_times_and_may_rise()
    {
        NoiseLevel[] levels = [NoiseLevel.Clean, new(0.9, 0.4), new(0.5, 0.8)];
        var grid = new TimeGrid(_schedule, [0.0, 300.0], levels);

        grid.Times.ToArray().Should().Equal(0.0, 300.0);
        grid.Levels.ToArray().Should().Equal(levels);
    }

    [Fact]
    public void A_grid_keeps_no_array_of_its_caller()
    {
        double[] times = [999.0, 500.0];
        var grid = new TimeGrid(_schedule, times);
        times[0] = 1.0;

        grid.Times[0].Should().Be(999.0);
    }

    [Theory]
    [InlineData(new double[0], "*at least one time*")]
    [InlineData(new[] { 500.0, 501.0 }, "*must not increase, got 501 after 500 at step 1*")]
    [InlineData(new[] { 1000.0 }, "*[0, 999], got 1000 at step 0*")]
    [InlineData(new[] { 10.0, -1.0 }, "*got -1 at step 1*")]
    [InlineData(new[] { double.NaN }, "*got NaN at step 0*")]
    [Trait(Category.Name, Category.Fault)]
    public void Times_that_are_no_grid_are_refused(double[] times, string message)
    {
        var create = () => new TimeGrid(_schedule, times);

        create.Should().Throw<ArgumentException>().WithMessage(message);
    }

    [Theory]
    [InlineData(double.NaN, 0.5)]
    [InlineData(0.5, double.PositiveInfinity)]
    [InlineData(-0.1, 0.5)]
    [InlineData(0.0, 0.0)]
    [Trait(Category.Name, Category.Fault)]
    public void Levels_that_are_not_finite_are_refused(double alpha, double sigma)
    {
        var level = new NoiseLevel(alpha, sigma);
        var final = () => new TimeGrid(_schedule, [999.0], level);
        var replaced = () => new TimeGrid(_schedule, [999.0]).WithFinalLevel(level);
        var chosen = () => new TimeGrid(_schedule, [999.0], [level, NoiseLevel.Clean]);

        final.Should().Throw<ArgumentException>().WithMessage("*finite*");
        replaced.Should().Throw<ArgumentException>().WithMessage("*finite*");
        chosen.Should().Throw<ArgumentException>().WithMessage("*finite*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_wrong_number_of_levels_or_a_missing_schedule_is_refused()
    {
        var few = () => new TimeGrid(_schedule, [999.0, 1.0], [NoiseLevel.Clean]);
        var missing = () => new TimeGrid(null!, [999.0]);

        few.Should().Throw<ArgumentException>().WithMessage("*2 times has 3 levels*got 1*");
        missing.Should().Throw<ArgumentNullException>();
    }
}
