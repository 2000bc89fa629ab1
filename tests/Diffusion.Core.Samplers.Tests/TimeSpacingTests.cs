using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

public class TimeSpacingTests
{
    public static MatrixTheoryData<string, string, int> Grids
        => new(Combinations.Schedules.Keys, Combinations.Spacings.Keys, [1, 2, 3, 7, 9, 13, 27, 48, 50, 100, 999, 1000]);

    [Theory]
    [MemberData(nameof(Grids))]
    public void Every_step_leads_to_the_next_time_of_the_grid_and_the_last_to_the_data(string scheduleName, string spacingName, int steps)
    {
        var schedule = Combinations.Schedules[scheduleName];
        var spacing = Combinations.Spacings[spacingName];
        if (steps > schedule.Steps || (spacingName == "leading, offset 1" && steps == schedule.Steps))
        {
            var refused = () => spacing.CreateGrid(schedule, steps);
            refused.Should().Throw<ArgumentException>();
            return;
        }

        var grid = spacing.CreateGrid(schedule, steps);

        grid.Count.Should().Be(steps);
        grid.Levels.Length.Should().Be(steps + 1);
        var probe = new TargetProbe();
        using var x = TorchSharp.torch.zeros(1);
        for (var k = 0; k < steps; k++)
        {
            var time = grid.Times[k];
            time.Should().BeInRange(0, schedule.Steps - 1).And.Be(Math.Truncate(time));
            if (k > 0)
                time.Should().BeLessThan(grid.Times[k - 1]);
            using var step = new SolverStep(grid, k, x, probe, probe);
            step.Time.Should().Be(time);
            step.From.Should().Be(schedule.LevelAt(time));
            step.To.Should().Be(k + 1 < steps ? schedule.LevelAt(grid.Times[k + 1]) : NoiseLevel.Clean);
            step.IsLast.Should().Be(k == steps - 1);
        }
    }

    [Theory]
    [InlineData("leading", 10, new[] { 900.0, 800, 700, 600, 500, 400, 300, 200, 100, 0 })]
    [InlineData("leading", 7, new[] { 852.0, 710, 568, 426, 284, 142, 0 })]
    [InlineData("leading", 1, new[] { 0.0 })]
    [InlineData("leading, offset 1", 7, new[] { 853.0, 711, 569, 427, 285, 143, 1 })]
    [InlineData("trailing", 10, new[] { 999.0, 899, 799, 699, 599, 499, 399, 299, 199, 99 })]
    [InlineData("trailing", 7, new[] { 999.0, 856, 713, 570, 428, 285, 142 })]
    [InlineData("trailing", 3, new[] { 999.0, 666, 332 })]
    [InlineData("trailing", 1, new[] { 999.0 })]
    [InlineData("trailing", 16, new[] { 999.0, 937, 874, 811, 749, 687, 624, 561, 499, 437, 374, 311, 249, 187, 124, 61 })]
    [InlineData("linspace", 10, new[] { 999.0, 888, 777, 666, 555, 444, 333, 222, 111, 0 })]
    [InlineData("linspace", 3, new[] { 999.0, 500, 0 })]
    [InlineData("linspace", 7, new[] { 999.0, 832, 666, 500, 333, 166, 0 })]
    [InlineData("linspace", 1, new[] { 999.0 })]
    public void Spacings_give_the_indices_of_the_literature(string spacing, int steps, double[] expected)
        => Combinations.Spacings[spacing].CreateGrid(DiscreteSchedule.Linear(), steps).Times.ToArray().Should().Equal(expected);

    [Theory]
    [InlineData("trailing", 48, 3, 936)]
    [InlineData("trailing", 48, 39, 186)]
    [InlineData("linspace", 27, 13, 499)]
    public void Near_ties_fall_as_they_do_in_numpy(string spacing, int steps, int index, double expected)
        => Combinations.Spacings[spacing].CreateGrid(DiscreteSchedule.Linear(), steps).Times[index].Should().Be(expected);

    [Fact]
    public void A_leading_offset_may_reach_the_last_index()
        => TimeSpacing.Leading(99).CreateGrid(DiscreteSchedule.Linear(), 10).Times[0].Should().Be(999);

    [Theory]
    [InlineData(1000, 1, "*offset 1 and 1000 steps starts at index 1000*last index of the schedule is 999*offset of at most 0*")]
    [InlineData(10, 100, "*offset 100 and 10 steps starts at index 1000*offset of at most 99*")]
    [InlineData(1, int.MaxValue, "*starts at index 2147483647*")]
    [Trait(Category.Name, Category.Fault)]
    public void A_leading_offset_beyond_the_last_index_is_refused(int steps, int offset, string message)
    {
        var create = () => TimeSpacing.Leading(offset).CreateGrid(DiscreteSchedule.Linear(), steps);

        create.Should().Throw<ArgumentException>().WithMessage(message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(1001)]
    [Trait(Category.Name, Category.Fault)]
    public void A_number_of_steps_that_the_schedule_does_not_have_is_refused(int steps)
    {
        foreach (var spacing in Combinations.Spacings.Values)
        {
            var create = () => spacing.CreateGrid(DiscreteSchedule.Linear(), steps);
            create.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*must lie in [1, 1000]*got {steps}*");
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Bad_arguments_are_refused()
    {
        var negative = () => TimeSpacing.Leading(-1);
        var missing = () => TimeSpacing.Trailing.CreateGrid(null!, 10);
        var continuous = () => TimeSpacing.Trailing.CreateGrid(new LogSigmaSchedule(preservesVariance: true), 10);

        negative.Should().Throw<ArgumentOutOfRangeException>();
        missing.Should().Throw<ArgumentNullException>();
        continuous.Should().Throw<ArgumentException>().WithMessage("*DiscreteSchedule, got LogSigmaSchedule*");
    }

    private sealed class TargetProbe : IEvaluator, INoiseSource
    {
        public ModelPrediction Evaluate(TorchSharp.torch.Tensor x, double time, NoiseLevel level) => throw new NotSupportedException();

        public TorchSharp.torch.Tensor Draw(TorchSharp.torch.Tensor like) => throw new NotSupportedException();

        public void Dispose()
        {
        }
    }
}
