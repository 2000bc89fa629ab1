using Diffusion.Core.Testing;
namespace Diffusion.Core.Schedules.Tests;

/// <summary>Each continuous schedule against the formula of its paper.</summary>
public sealed class ContinuousFamilyTests
{
    [Fact]
    public void EDM_tells_its_network_a_quarter_of_log_sigma()
    {
        var schedule = new EdmSchedule();

        schedule.MinTime.Should().Be(Math.Log(0.002) / 4.0);
        schedule.MaxTime.Should().Be(Math.Log(80.0) / 4.0);
        schedule.LevelAt(schedule.MinTime).Should().Be(new NoiseLevel(1.0, 0.002));
        schedule.LevelAt(schedule.MaxTime).Should().Be(new NoiseLevel(1.0, 80.0));
        schedule.Sigma(0.0).Should().Be(1.0);
        schedule.Sigma(schedule.TimeOfSigma(3.7)).Should().BeApproximately(3.7, 1e-14);
        new EdmSchedule(timeScale: 250.0).TimeOfSigma(80.0).Should().BeApproximately(1000.0 * 0.25 * Math.Log(80.0), 1e-12);
    }

    [Fact]
    public void Variance_exploding_sigmas_are_a_geometric_series()
    {
        var schedule = new VarianceExplodingSchedule(0.01, 50.0);

        schedule.LevelAt(0.0).Should().Be(new NoiseLevel(1.0, 0.01));
        schedule.LevelAt(1.0).Should().Be(new NoiseLevel(1.0, 50.0));
        schedule.Sigma(0.25).Should().BeApproximately(0.01 * Math.Pow(5000.0, 0.25), 1e-16);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.003)]
    [InlineData(0.4)]
    [InlineData(1.0)]
    public void Sub_VP_has_the_alpha_of_VP_and_the_square_of_its_sigma(double t)
    {
        var (schedule, preserving) = (new SubVpSchedule(0.2, 10.0), new LinearVpSchedule(0.2, 10.0));

        schedule.Alpha(t).Should().Be(preserving.Alpha(t));
        schedule.Sigma(t).Should().BeApproximately(1.0 - Math.Exp(-((0.2 * t) + (4.9 * t * t))), 1e-15);
        (schedule.BetaMin, schedule.BetaMax).Should().Be((0.2, 10.0));
    }

    [Fact]
    public void The_straight_line_mixes_data_and_noise_and_tells_the_share_of_noise()
    {
        var schedule = new RectifiedFlowSchedule(1000.0);

        schedule.LevelAt(0.0).Should().Be(NoiseLevel.Clean);
        schedule.LevelAt(1000.0).Should().Be(new NoiseLevel(0.0, 1.0));
        schedule.LevelAt(250.0).Should().Be(new NoiseLevel(0.75, 0.25));
        ((INoiseSchedule)schedule).ModelTimestep(250.3).Should().Be(250.3);
        new RectifiedFlowSchedule().MaxTime.Should().Be(1.0);
    }

    /// <summary>diffusers: shift * s / (1 + (shift - 1) * s), and the two forms with mu.</summary>
    public static TheoryData<TimestepShift, Func<double, double>> Shifts => new()
    {
        { TimestepShift.None, s => s },
        { TimestepShift.Static(3.0), s => 3.0 * s / (1.0 + (2.0 * s)) },
        { TimestepShift.Static(0.4), s => 0.4 * s / (1.0 - (0.6 * s)) },
        { TimestepShift.Exponential(1.15), s => Math.Exp(1.15) / (Math.Exp(1.15) + ((1.0 / s) - 1.0)) },
        { TimestepShift.Exponential(-0.3, 1.7), s => Math.Exp(-0.3) / (Math.Exp(-0.3) + Math.Pow((1.0 / s) - 1.0, 1.7)) },
        { TimestepShift.Linear(1.15), s => 1.15 / (1.15 + ((1.0 / s) - 1.0)) },
        { TimestepShift.Linear(2.0, 0.5), s => 2.0 / (2.0 + Math.Sqrt((1.0 / s) - 1.0)) },
    };

    [Theory]
    [MemberData(nameof(Shifts))]
    public void A_shift_is_the_formula_of_its_source_and_is_undone_by_its_inverse(TimestepShift shift, Func<double, double> formula)
    {
        var schedule = new RectifiedFlowSchedule(1000.0, shift);
        for (var i = 0; i <= 100; i++)
        {
            var s = i / 100.0;
            var expected = i == 0 ? 0.0 : formula(s);
            shift.Apply(s).Should().BeApproximately(expected, 2e-16 + (1e-15 * expected));
            shift.ApplyToRest(s).Should().BeApproximately(1.0 - shift.Apply(1.0 - s), 4e-16);
            shift.Invert(shift.Apply(s)).Should().BeApproximately(s, 1e-14);
            schedule.Alpha(10.0 * i).Should().BeApproximately(1.0 - expected, 1e-15);
            schedule.Sigma(10.0 * i).Should().BeApproximately(expected, 1e-15);
            ((INoiseSchedule)schedule).ModelTimestep(10.0 * i).Should().BeApproximately(1000.0 * expected, 1e-12);
        }

        shift.Apply(1.0).Should().Be(1.0);
        shift.ApplyToRest(1e-30).Should().BeGreaterThan(0.0, "it is not made by taking from 1");
    }

    [Theory]
    [InlineData(256, 0.5)]
    [InlineData(4096, 1.15)]
    [InlineData(1024, 0.63)]
    [InlineData(8192, 1.8433333333333333)]
    public void Mu_of_a_dynamic_shift_is_on_a_straight_line(int tokens, double expected)
        => TimestepShift.MuForTokens(tokens).Should().BeApproximately(expected, 1e-15);

    [Theory]
    [InlineData(64, 0.0)]
    [InlineData(256, -2.772588722239781)]
    [InlineData(32, 1.3862943611198906)]
    public void A_resolution_shifts_the_log_SNR(int imageSize, double shift)
    {
        var (schedule, cosine) = (ResolutionShiftedSchedule.Shifted(imageSize), new CosineLogSnrSchedule(-15.0, 15.0));
        foreach (var t in new[] { 0.0, 0.3, 1.0 })
            schedule.LogSnr(t).Should().BeApproximately(cosine.LogSnr(t) + shift, 1e-11);
    }

    [Fact]
    public void Between_two_resolutions_the_shift_follows_the_time()
    {
        var (schedule, cosine) = (ResolutionShiftedSchedule.Interpolated(512), new CosineLogSnrSchedule(-15.0, 15.0));
        var low = ResolutionShiftedSchedule.Shifted(512, 32);
        foreach (var t in new[] { 0.0, 0.3, 0.8, 1.0 })
            schedule.LogSnr(t).Should().BeApproximately((t * low.LogSnr(t)) + ((1.0 - t) * cosine.LogSnr(t)), 1e-10);
    }

    [Fact]
    public void A_shift_that_makes_the_log_SNR_rise_is_refused()
    {
        FluentActions.Invoking(() => ResolutionShiftedSchedule.Interpolated(64, 1 << 20, 1)).Should().Throw<ArgumentException>()
            .WithMessage("The log-SNR must fall strictly with t, got*");
    }

    [Fact]
    public void A_tabulated_schedule_passes_its_points_and_neither_overshoots_nor_turns()
    {
        double[] times = [0.0, 0.1, 0.5, 0.6, 2.0];
        double[] logSnrs = [9.0, 8.99, -3.0, -3.01, -12.0];
        var schedule = new TabulatedSchedule(times, logSnrs);

        for (var i = 0; i < times.Length; i++)
            schedule.LogSnr(times[i]).Should().BeApproximately(logSnrs[i], 1e-12);
        for (var i = 1; i < times.Length; i++)
        {
            var last = logSnrs[i - 1];
            for (var j = 1; j < 50; j++)
            {
                var next = schedule.LogSnr(times[i - 1] + ((times[i] - times[i - 1]) * j / 50.0));
                next.Should().BeLessThan(last).And.BeGreaterThan(logSnrs[i]);
                last = next;
            }
        }
    }

    [Fact]
    public void A_table_of_many_points_is_near_the_curve_it_was_taken_from()
    {
        // Inside, PCHIP is of second order or better.
        double Distance(int points)
        {
            var curve = new CosineLogSnrSchedule(-15.0, 15.0);
            var times = Enumerable.Range(0, points + 1).Select(i => i / (double)points).ToArray();
            var table = new TabulatedSchedule(times, Array.ConvertAll(times, t => curve.LogSnr(t)));
            return Enumerable.Range(100, 801).Max(i => Math.Abs(table.LogSnr(i / 1000.0) - curve.LogSnr(i / 1000.0)));
        }

        Distance(50).Should().BeLessThan(0.02);
        (Distance(50) / Distance(200)).Should().BeGreaterThan(14.0);
    }

    [Fact]
    public void An_integrated_beta_equals_the_closed_form()
    {
        var (integrated, closed) = (new BetaSchedule(t => 0.1 + (19.9 * t)), new LinearVpSchedule());
        for (var i = 0; i <= 1000; i++)
        {
            integrated.Alpha(i / 1000.0).Should().BeApproximately(closed.Alpha(i / 1000.0), 4e-15 * closed.Alpha(i / 1000.0));
            integrated.Sigma(i / 1000.0).Should().BeApproximately(closed.Sigma(i / 1000.0), 4e-15 * closed.Sigma(i / 1000.0));
        }

        // int_0^t (1 + sin s) = 1 + t - cos t
        var wave = new BetaSchedule(t => 1.0 + Math.Sin(t), maxTime: 10.0);
        foreach (var t in new[] { 0.01, 1.0, 7.77, 10.0 })
            wave.Alpha(t).Should().BeApproximately(Math.Exp(-0.5 * (1.0 + t - Math.Cos(t))), 1e-14);
    }

    [Theory]
    [MemberData(nameof(ScheduleNames.All), MemberType = typeof(ScheduleNames))]
    public void The_log_SNR_of_every_schedule_falls_and_its_range_is_closed(string name)
    {
        var schedule = TestSchedules.MakeAny(name);
        var last = double.PositiveInfinity;
        foreach (var (time, level, _) in TestSchedules.Levels(schedule))
        {
            double.IsFinite(level.Alpha).Should().BeTrue();
            double.IsFinite(level.Sigma).Should().BeTrue();
            (level.LogSnr < last || time == 0.0).Should().BeTrue($"{level.LogSnr} follows {last} at {time}");
            last = level.LogSnr;
        }

        foreach (var outside in new[] { schedule.MinTime - 1e-3, schedule.MaxTime + 1e-3, double.NaN })
            FluentActions.Invoking(() => schedule.LevelAt(outside)).Should().Throw<ArgumentOutOfRangeException>();
    }

    public static TheoryData<string, Action> Faults => new()
    {
        { "*sigmaMin*greater than 0*", () => _ = new EdmSchedule(0.0) },
        { "*sigmaMax*", () => _ = new EdmSchedule(1.0, 1.0) },
        { "*timeScale*", () => _ = new EdmSchedule(timeScale: double.NaN) },
        { "*sigmaMin*", () => _ = new VarianceExplodingSchedule(-1.0) },
        { "*sigmaMax*", () => _ = new VarianceExplodingSchedule(1.0, double.PositiveInfinity) },
        { "*betaMin*", () => _ = new SubVpSchedule(0.0) },
        { "*timeScale*", () => _ = new RectifiedFlowSchedule(0.0) },
        { "*shift*greater than 0*got 0*", () => TimestepShift.Static(0.0) },
        { "*mu*[-700, 700]*", () => TimestepShift.Exponential(double.NaN) },
        { "*power*", () => TimestepShift.Exponential(1.0, -1.0) },
        { "*mu*", () => TimestepShift.Linear(-1.0) },
        { "*tokens*", () => TimestepShift.MuForTokens(0) },
        { "*maxTokens*", () => TimestepShift.MuForTokens(10, 256, 256) },
        { "*imageSize*", () => ResolutionShiftedSchedule.Shifted(0) },
        { "*noiseSize*", () => ResolutionShiftedSchedule.Shifted(64, -1) },
        { "*three points*got 2 and 2*", () => _ = new TabulatedSchedule([0.0, 1.0], [1.0, 0.0]) },
        { "*as many*got 3 and 2*", () => _ = new TabulatedSchedule([0.0, 1.0, 2.0], [1.0, 0.0]) },
        { "*times*rise*times[2] = 1*", () => _ = new TabulatedSchedule([0.0, 1.0, 1.0], [1.0, 0.0, -1.0]) },
        { "*log-SNRs*fall*logSnrs[1] = 1*", () => _ = new TabulatedSchedule([0.0, 1.0, 2.0], [1.0, 1.0, -1.0]) },
        { "*logSnrs[2] = NaN*", () => _ = new TabulatedSchedule([0.0, 1.0, 2.0], [1.0, 0.0, double.NaN]) },
        { "*beta(t)*greater than 0*got -*", () => _ = new BetaSchedule(t => 0.5 - t) },
        { "*beta(t)*got NaN*", () => _ = new BetaSchedule(t => double.NaN) },
        { "*maxTime*", () => _ = new BetaSchedule(t => 1.0, 0.0) },
        { "*panels*", () => _ = new BetaSchedule(t => 1.0, 1.0, 0) },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void What_is_out_of_range_is_refused_by_name(string message, Action make)
        => make.Should().Throw<ArgumentException>().WithMessage(message);
}
