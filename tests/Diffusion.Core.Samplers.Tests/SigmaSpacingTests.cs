using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Samplers.Tests;

public class SigmaSpacingTests
{
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.ScaledLinear();

    public static Dictionary<string, TimeSpacing> Spacings { get; } = new()
    {
        ["Karras"] = SigmaSpacing.Karras(),
        ["Karras, rho 3, cut"] = SigmaSpacing.Karras(3.0, 0.05, 10.0),
        ["exponential"] = SigmaSpacing.Exponential(),
        ["beta"] = SigmaSpacing.Beta(),
        ["Align Your Steps, SD 1.5"] = AlignYourSteps.StableDiffusion15,
        ["Align Your Steps, SDXL"] = AlignYourSteps.StableDiffusionXL,
        ["uniform"] = ScheduleTimeSpacing.Uniform(),
        ["quadratic"] = ScheduleTimeSpacing.Quadratic(),
        ["shifted"] = ScheduleTimeSpacing.Shifted(3.0),
    };

    public static TheoryData<string> Names() => [.. Spacings.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_number_of_steps_falls_within_the_schedule_and_ends_without_noise(string name)
    {
        foreach (INoiseSchedule schedule in new INoiseSchedule[] { _schedule, new LinearVpSchedule(1.0, 20.0), new CosineLogSnrSchedule() })
        {
            foreach (var steps in new[] { 1, 2, 3, 7, 13, 50, 1000 })
            {
                if (schedule is LinearVpSchedule && Spacings[name] is SigmaSpacing && name is not "Karras, rho 3, cut" && !name.StartsWith("Align", StringComparison.Ordinal))
                    continue; // It begins without noise: a min must be given.
                var grid = Spacings[name].CreateGrid(schedule, steps);
                grid.Count.Should().Be(steps);
                grid.Levels[^1].Should().Be(NoiseLevel.Clean);
                for (var k = 0; k < steps; k++)
                {
                    grid.Levels[k].LogSnr.Should().BeApproximately(schedule.LogSnr(grid.Times[k]), 1e-9, "the network is told the time of its level");
                    if (k > 0)
                        grid.Levels[k].NoiseToSignalRatio.Should().BeLessThan(grid.Levels[k - 1].NoiseToSignalRatio);
                }
            }
        }
    }

    [Fact]
    public void Karras_levels_are_those_of_EDM()
    {
        // Karras et al. 2022, eq. 5 with sigma 0.002 to 80, rho 7, N = 18, by hand.
        var grid = SigmaSpacing.Karras().CreateGrid(new EdmSchedule(), 18);
        for (var i = 0; i < 18; i++)
        {
            var expected = Math.Pow(Math.Pow(80.0, 1.0 / 7.0) + (i / 17.0 * (Math.Pow(0.002, 1.0 / 7.0) - Math.Pow(80.0, 1.0 / 7.0))), 7.0);
            grid.Levels[i].Sigma.Should().BeApproximately(expected, 1e-10 * expected);
            grid.Times[i].Should().BeApproximately(0.25 * Math.Log(expected), 1e-9);
        }
    }

    [Fact]
    public void Exponential_levels_are_equal_steps_of_log_SNR()
    {
        var grid = SigmaSpacing.Exponential().CreateGrid(_schedule, 11);
        for (var k = 2; k < 11; k++)
            (grid.Levels[k].LogSnr - grid.Levels[k - 1].LogSnr).Should().BeApproximately(grid.Levels[1].LogSnr - grid.Levels[0].LogSnr, 1e-9);
    }

    [Fact]
    public void Beta_levels_are_quantiles()
    {
        // With both parameters 1 the distribution is uniform; with 1/2 its quantile is sin^2(pi p / 2).
        var uniform = SigmaSpacing.Beta(1.0, 1.0).Ratios(5, 1.0, 9.0);
        uniform.Zip([9.0, 7.0, 5.0, 3.0, 1.0], (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-9);
        var arcsine = SigmaSpacing.Beta(0.5, 0.5).Ratios(7, 0.0 + 1.0, 2.0);
        for (var k = 0; k < 7; k++)
            arcsine[k].Should().BeApproximately(1.0 + Math.Pow(Math.Sin(Math.PI / 2.0 * (1.0 - (k / 6.0))), 2), 1e-9);
    }

    [Fact]
    public void A_table_is_met_at_its_own_length_and_interpolated_in_between()
    {
        AlignYourSteps.StableDiffusion15.Ratios(10, 1.0, 2.0)
            .Zip([14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152], (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-12);
        SigmaSpacing.Tabulated(8.0, 2.0, 0.5).Ratios(5, 1.0, 2.0)
            .Zip([8.0, 4.0, 2.0, 1.0, 0.5], (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-12);
    }

    [Fact]
    public void Times_of_a_schedule_are_cut_evenly_by_square_root_or_shifted()
    {
        var line = new RectifiedFlowSchedule();
        ScheduleTimeSpacing.Uniform().CreateGrid(line, 4).Times.ToArray().Should().Equal(1.0, 0.75, 0.5, 0.25);
        ScheduleTimeSpacing.Uniform(0.1).CreateGrid(line, 4).Times.ToArray().Zip([1.0, 0.7, 0.4, 0.1], (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-15);
        ScheduleTimeSpacing.Quadratic().CreateGrid(line, 4).Times.ToArray().Should().Equal(1.0, 0.5625, 0.25, 0.0625);
        ScheduleTimeSpacing.Shifted(3.0).CreateGrid(line, 2).Times.ToArray().Should().Equal(1.0, 0.75);

        // k-diffusion's "vp" grid: sigma(t) = sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1) at t from 1 to eps.
        var vp = ScheduleTimeSpacing.Uniform(1e-3).CreateGrid(new LinearVpSchedule(), 5);
        for (var k = 0; k < 5; k++)
        {
            var t = 1.0 + (k / 4.0 * (1e-3 - 1.0));
            vp.Levels[k].NoiseToSignalRatio.Should().BeApproximately(Math.Sqrt(Math.Exp((19.9 * t * t / 2.0) + (0.1 * t)) - 1.0), 1e-9 * Math.Exp(5.0));
        }
    }

    [Fact]
    public void Levels_of_ones_own_are_a_grid()
    {
        var grid = TimeGrid.FromSigmas(_schedule, [10.0, 3.0, 3.0, 0.5]);
        grid.Levels.ToArray().Select(level => Math.Round(level.NoiseToSignalRatio, 9)).Should().Equal(10.0, 3.0, 3.0, 0.5, 0.0);
        grid.Times[1].Should().Be(grid.Times[2]);
        TimeGrid.FromSigmas(_schedule, [_schedule.LevelAt(999).NoiseToSignalRatio * (1.0 + 1e-12)]).Times[0].Should().Be(999.0, "rounding past the end is forgiven");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_makes_no_grid_is_refused()
    {
        ((Action)(() => SigmaSpacing.Karras(0.0))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => SigmaSpacing.Karras(7.0, 2.0, 1.0))).Should().Throw<ArgumentException>().WithMessage("*2*1*");
        ((Action)(() => SigmaSpacing.Exponential(-1.0))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => SigmaSpacing.Beta(alpha: double.NaN))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => SigmaSpacing.Tabulated(1.0))).Should().Throw<ArgumentException>().WithMessage("*two*");
        ((Action)(() => SigmaSpacing.Tabulated(1.0, 2.0))).Should().Throw<ArgumentException>().WithMessage("*decrease*");
        ((Action)(() => SigmaSpacing.Karras().CreateGrid(_schedule, 0))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => SigmaSpacing.Karras().CreateGrid(new LinearVpSchedule(), 5))).Should().Throw<ArgumentException>().WithMessage("*min above 0*");
        ((Action)(() => SigmaSpacing.Karras(7.0, 0.1, 100.0).CreateGrid(_schedule, 5))).Should().Throw<ArgumentException>().WithMessage("*range of the schedule*got*");
        ((Action)(() => ScheduleTimeSpacing.Uniform(2.0).CreateGrid(new RectifiedFlowSchedule(), 5))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => ScheduleTimeSpacing.Shifted(0.0))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => TimeGrid.FromSigmas(_schedule, [1.0, 2.0]))).Should().Throw<ArgumentException>().WithMessage("*increase*");
    }
}
