using Diffusion.Core.Testing;
namespace Diffusion.Core.Schedules.Tests;

public sealed class ContinuousScheduleTests
{
    public static TheoryData<string> Names => TestSchedules.ContinuousNames;

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(1.0)]
    public void Linear_VP_is_the_integral_of_its_beta(double t)
    {
        // Simpson's rule is exact for a straight line.
        double Beta(double s) => 0.1 + (19.9 * s);
        var integral = t / 6.0 * (Beta(0.0) + (4.0 * Beta(t / 2.0)) + Beta(t));
        var schedule = new LinearVpSchedule();

        schedule.Alpha(t).Should().BeApproximately(Math.Exp(-integral / 2.0), 1e-15);
        schedule.Sigma(t).Should().BeApproximately(Math.Sqrt(1.0 - Math.Exp(-integral)), 1e-15);
    }

    [Fact]
    public void Linear_VP_keeps_its_digits_near_the_data()
    {
        var schedule = new LinearVpSchedule();

        schedule.LevelAt(0.0).Should().Be(NoiseLevel.Clean);
        var expected = Math.Sqrt((0.1 * 1e-12) + (9.95 * 1e-24));
        schedule.Sigma(1e-12).Should().BeApproximately(expected, 1e-13 * expected);
        for (var t = 1e-10; t < 0.1; t *= 3.0)
        {
            var integral = (0.1 * t) + (9.95 * t * t);
            var series = integral * (1.0 - (integral / 2.0 * (1.0 - (integral / 3.0 * (1.0 - (integral / 4.0 * (1.0 - (integral / 5.0
                * (1.0 - (integral / 6.0 * (1.0 - (integral / 7.0 * (1.0 - (integral / 8.0))))))))))))));
            schedule.Sigma(t).Should().BeApproximately(Math.Sqrt(series), 4e-16 * Math.Sqrt(series));
        }
    }

    [Fact]
    public void Cosine_log_SNR_is_twice_the_logarithm_of_a_cotangent()
    {
        var schedule = new CosineLogSnrSchedule(-20.0, 20.0);

        schedule.LogSnr(0.0).Should().BeApproximately(20.0, 1e-13);
        schedule.LogSnr(0.5).Should().BeApproximately(0.0, 1e-13);
        schedule.LogSnr(1.0).Should().BeApproximately(-20.0, 1e-13);
        var (b, end) = (Math.Atan(Math.Exp(-10.0)), Math.Atan(Math.Exp(10.0)));
        schedule.LogSnr(0.2).Should().BeApproximately(-2.0 * Math.Log(Math.Tan((0.2 * (end - b)) + b)), 1e-13);
    }

    [Fact]
    public void Cosine_log_SNR_without_cuts_has_the_abar_of_Nichol_and_Dhariwal_without_offset()
    {
        var (continuous, discrete) = (new CosineLogSnrSchedule(-60.0, 60.0), DiscreteSchedule.Cosine(100, offset: 0.0));

        for (var i = 0; i < 99; i++)
        {
            var alpha = continuous.Alpha((i + 1) / 100.0);
            (alpha * alpha).Should().BeApproximately(discrete.AlphaBars[i], 1e-12);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Discretising_keeps_the_log_SNR_and_preserves_variance(string name)
    {
        var schedule = TestSchedules.MakeAny(name);

        var discrete = DiscreteSchedule.Discretise(schedule, 50);

        for (var i = 0; i < 50; i++)
        {
            var t = schedule.MinTime + ((schedule.MaxTime - schedule.MinTime) * (i + 1) / 50.0);

            // A beta near 1 is stored with as many digits less as it has nines.
            discrete.LogSnr(i).Should().BeApproximately(schedule.LogSnr(t), 1e-9);
        }
    }

    [Fact]
    public void Discretising_linear_VP_approaches_linear_betas_in_proportion_to_the_step()
    {
        double Distance(int steps)
        {
            var continuous = DiscreteSchedule.Discretise(new LinearVpSchedule(0.1, 20.0), steps);
            var ddpm = DiscreteSchedule.Linear(steps, 0.1 / steps, 20.0 / steps);
            var worst = 0.0;
            for (var t = 0; t < steps; t++)
                worst = Math.Max(worst, Math.Abs(continuous.AlphaBars[t] - ddpm.AlphaBars[t]));
            return worst;
        }

        var distances = new[] { 250, 500, 1000, 2000, 4000 }.Select(Distance).ToArray();

        distances[2].Should().BeLessThan(0.01);
        for (var i = 1; i < distances.Length; i++)
            Math.Log2(distances[i - 1] / distances[i]).Should().BeApproximately(1.0, 0.05);
    }

    [Theory]
    [MemberData(nameof(ScheduleNames.All), MemberType = typeof(ScheduleNames))]
    public void The_time_of_a_log_SNR_is_found_on_every_schedule(string name)
    {
        var schedule = TestSchedules.MakeAny(name);
        var range = schedule.MaxTime - schedule.MinTime;
        for (var i = 0; i <= 100; i++)
        {
            var t = schedule.MinTime + (range * i / 100.0);
            var logSnr = schedule.LogSnr(t);
            if (double.IsFinite(logSnr))
                schedule.TimeOf(logSnr).Should().BeApproximately(t, (1e-12 * range) + (schedule is DiscreteSchedule ? 1e-12 : 0.0));
        }
    }

    [Theory]
    [MemberData(nameof(ScheduleNames.All), MemberType = typeof(ScheduleNames))]
    public void A_formula_or_a_table_finds_the_time_that_a_search_finds(string name)
    {
        var schedule = TestSchedules.MakeAny(name);
        var (first, last) = (schedule.LogSnr(schedule.MinTime), schedule.LogSnr(schedule.MaxTime));
        (first, last) = (Math.Min(first, 30.0), Math.Max(last, -30.0));
        for (var i = 0; i <= 50; i++)
        {
            var logSnr = Math.Max(first + ((last - first) * i / 50.0), last);
            var expected = new Unknown(schedule).TimeOf(logSnr);
            schedule.TimeOf(logSnr).Should().BeApproximately(expected, 1e-12 * (1.0 + schedule.MaxTime - schedule.MinTime));
        }
    }

    [Fact]
    public void The_log_SNR_at_an_index_gives_that_index_exactly()
    {
        foreach (string name in TestSchedules.Names)
        {
            var schedule = TestSchedules.Make(name);
            for (var t = 0; t < schedule.Steps; t++)
            {
                if (double.IsFinite(schedule.LogSnr(t)))
                    schedule.TimeOf(schedule.LogSnr(t)).Should().Be(t);
            }
        }
    }

    [Theory]
    [InlineData(21.0)]
    [InlineData(-21.0)]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void A_log_SNR_that_a_schedule_does_not_reach_is_refused(double logSnr)
    {
        var schedule = new CosineLogSnrSchedule();

        FluentActions.Invoking(() => schedule.TimeOf(logSnr)).Should().Throw<ArgumentOutOfRangeException>().WithMessage("*falls from*got*");
    }

    [Theory]
    [InlineData(0.0, 20.0)]
    [InlineData(-0.1, 20.0)]
    [InlineData(0.1, 0.05)]
    [InlineData(double.NaN, 20.0)]
    [InlineData(0.1, double.PositiveInfinity)]
    public void Rates_of_linear_VP_outside_their_range_are_refused(double betaMin, double betaMax)
    {
        FluentActions.Invoking(() => new LinearVpSchedule(betaMin, betaMax))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("*beta*");
    }

    [Theory]
    [InlineData(20.0, -20.0)]
    [InlineData(3.0, 3.0)]
    [InlineData(double.NegativeInfinity, 20.0)]
    [InlineData(-20.0, double.NaN)]
    public void Log_SNRs_of_the_cosine_outside_their_range_are_refused(double minLogSnr, double maxLogSnr)
    {
        FluentActions.Invoking(() => new CosineLogSnrSchedule(minLogSnr, maxLogSnr))
            .Should().Throw<ArgumentException>().WithMessage("*log-SNR must fall*");
    }

    [Theory]
    [InlineData(-0.001)]
    [InlineData(1.001)]
    [InlineData(double.NaN)]
    public void A_time_outside_0_to_1_is_refused(double t)
    {
        FluentActions.Invoking(() => new LinearVpSchedule().LevelAt(t)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new CosineLogSnrSchedule().LevelAt(t)).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void A_schedule_whose_log_SNR_rises_cannot_be_discretised()
    {
        FluentActions.Invoking(() => DiscreteSchedule.Discretise(new RisingSchedule(), 10)).Should().Throw<ArgumentException>()
            .WithMessage("*log-SNR of a schedule must fall*t = 0.6*");
    }

    /// <summary>A schedule of which only the levels are known.</summary>
    private sealed class Unknown(INoiseSchedule inner) : INoiseSchedule
    {
        public double MinTime => inner.MinTime;

        public double MaxTime => inner.MaxTime;

        public NoiseLevel LevelAt(double t) => inner.LevelAt(t);
    }

    private sealed class RisingSchedule : INoiseSchedule
    {
        public double MinTime => 0.0;

        public double MaxTime => 1.0;

        public NoiseLevel LevelAt(double t) => NoiseLevel.FromLogSnr(Math.Abs(t - 0.5));
    }
}
