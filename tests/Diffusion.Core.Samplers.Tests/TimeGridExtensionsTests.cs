using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

public class TimeGridExtensionsTests
{
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();

    [Fact]
    public void A_refined_grid_has_points_at_fractions_of_each_step_in_lambda()
    {
        var grid = TimeSpacing.Trailing.CreateGrid(_schedule, 5).WithFinalLevel(_schedule.LevelAt(0));

        var refined = grid.Refined(1.0 / 3.0, 2.0 / 3.0);

        refined.Count.Should().Be(15);
        for (var k = 0; k < 5; k++)
        {
            refined.Levels[3 * k].Should().Be(grid.Levels[k]);
            refined.Times[3 * k].Should().Be(grid.Times[k]);
            var (from, to) = (grid.Levels[k].Lambda, grid.Levels[k + 1].Lambda);
            for (var i = 1; i < 3; i++)
            {
                refined.Levels[(3 * k) + i].Lambda.Should().BeApproximately(from + ((to - from) * i / 3.0), 1e-9);
                refined.Times[(3 * k) + i].Should().BeInRange(k < 4 ? grid.Times[k + 1] : 0.0, grid.Times[k]);
            }
        }

        refined.Levels[^1].Should().Be(grid.Levels[^1]);
        TimeSpacing.Trailing.CreateGrid(_schedule, 5).Refined(0.5).Count.Should().Be(9, "the step to the data stays whole");
    }

    [Fact]
    public void An_inverted_grid_goes_back_over_the_same_levels()
    {
        var grid = TimeSpacing.Leading().CreateGrid(_schedule, 4).WithFinalLevel(_schedule.LevelAt(0));

        var inverted = grid.Inverted();
        var told = grid.InvertedAtTargets();

        inverted.Levels.ToArray().Should().Equal(grid.Levels.ToArray().Reverse());
        inverted.Times.ToArray().Should().Equal(0.0, 0.0, 250.0, 500.0);
        told.Levels.ToArray().Should().Equal(inverted.Levels.ToArray());
        told.Times.ToArray().Should().Equal(0.0, 250.0, 500.0, 750.0);
        new TimeGrid(_schedule, [600.0]).Inverted().Times.ToArray().Should().Equal(0.0);
        new TimeGrid(_schedule, [600.0], _schedule.LevelAt(200)).Inverted().Times.ToArray().Should().Equal(200.0);
        var beyond = new NoiseLevel(1e-9, 1.0);
        new TimeGrid(_schedule, [600.0], [_schedule.LevelAt(600), beyond]).Inverted().Times.ToArray().Should().Equal(999.0);
    }

    [Fact]
    public void The_starts_of_PNDM_go_to_and_fro()
    {
        var grid = TimeSpacing.Leading().CreateGrid(_schedule, 10);

        grid.WithTrapezoidStart().Times.ToArray().Should().Equal(900, 800, 800, 700, 600, 500, 400, 300, 200, 100, 0);
        grid.WithRungeKuttaStart().Times.ToArray()
            .Should().Equal(900, 850, 850, 800, 800, 750, 750, 700, 700, 650, 650, 600, 600, 500, 400, 300, 200, 100, 0);
        var single = TimeSpacing.Leading().CreateGrid(_schedule, 1);
        single.WithTrapezoidStart().Should().BeSameAs(single);
        var levels = grid.WithRungeKuttaStart().Levels.ToArray();
        for (var k = 0; k < 19; k++)
            levels[k].Should().Be(_schedule.LevelAt(grid.WithRungeKuttaStart().Times[k]));
    }

    [Fact]
    public void The_grid_of_iPNDM_has_even_angles_of_the_square_root_of_sigma()
    {
        var grid = IpndmGrid.Create(8);

        for (var k = 0; k <= 8; k++)
        {
            var (alpha, sigma) = (grid.Levels[k].Alpha, grid.Levels[k].Sigma);
            sigma.Should().BeApproximately(Math.Pow(Math.Cos(Math.PI / 2.0 * k / 8.0), 2), 1e-14);
            ((alpha * alpha) + (sigma * sigma)).Should().BeApproximately(1.0, 1e-14);
        }

        grid.Levels[0].Should().Be(new NoiseLevel(0.0, 1.0));
        grid.Levels[^1].Should().Be(NoiseLevel.Clean);
        grid.Times[0].Should().Be(1.0);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Bad_arguments_are_refused()
    {
        var grid = TimeSpacing.Leading().CreateGrid(_schedule, 3);
        foreach (var fractions in new double[][] { [0.0], [1.0], [0.6, 0.4], [0.5, 0.5], [double.NaN] })
        {
            var refine = () => grid.Refined(fractions);
            refine.Should().Throw<ArgumentException>().WithMessage("*increase within (0, 1)*");
        }

        var mute = new TimeGrid(_schedule, [999.0], [new NoiseLevel(0.0, 1.0), _schedule.LevelAt(500)]);
        var between = () => mute.Refined(0.5);
        between.Should().Throw<ArgumentException>().WithMessage("*finite log-SNR*");
        var start = () => grid.WithRungeKuttaStart();
        start.Should().Throw<ArgumentException>().WithMessage("*at least four steps, got 3*");
        var none = () => IpndmGrid.Create(0);
        none.Should().Throw<ArgumentOutOfRangeException>();
    }
}
