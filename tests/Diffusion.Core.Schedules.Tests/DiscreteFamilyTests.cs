using Diffusion.Core.Testing;
namespace Diffusion.Core.Schedules.Tests;

/// <summary>Each discrete schedule against the formula of its source, written out once more.</summary>
public sealed class DiscreteFamilyTests
{
    [Fact]
    public void Linear_scaled_by_steps_has_the_ends_of_1000_steps_times_1000_over_T()
    {
        var schedule = DiscreteSchedule.LinearScaledBySteps(100);

        schedule.Betas[0].Should().BeApproximately(0.001, 1e-18);
        schedule.Betas[99].Should().BeApproximately(0.2, 1e-16);
        DiscreteSchedule.LinearScaledBySteps().Betas.ToArray().Should().Equal(DiscreteSchedule.Linear().Betas.ToArray());
    }

    [Theory]
    [InlineData(20, true)]
    [InlineData(19, false)]
    [InlineData(0, false)]
    public void Linear_scaled_by_steps_is_refused_below_20(int steps, bool valid)
    {
        var make = () => DiscreteSchedule.LinearScaledBySteps(steps);

        if (valid)
            make().Betas[19].Should().Be(1.0);
        else
            make.Should().Throw<ArgumentOutOfRangeException>().And.ParamName.Should().Be("steps");
    }

    [Fact]
    public void Quadratic_has_equally_spaced_roots_between_the_ends_of_DDPM()
    {
        var betas = DiscreteSchedule.Quadratic().Betas;

        for (var t = 0; t < 1000; t++)
            Math.Sqrt(betas[t]).Should().BeApproximately(0.01 + ((Math.Sqrt(0.02) - 0.01) * t / 999.0), 1e-16);
    }

    [Fact]
    public void Constant_and_exponential_have_one_beta()
    {
        DiscreteSchedule.Constant(10, 0.3).Betas.ToArray().Should().OnlyContain(beta => beta == 0.3);
        var exponential = DiscreteSchedule.Exponential();
        for (var t = 0; t < 1000; t++)
        {
            exponential.Betas[t].Should().BeApproximately(1.0 - Math.Exp(-0.012), 2e-15);
            exponential.AlphaBars[t].Should().BeApproximately(Math.Exp(-0.012 * (t + 1)), 1e-12 * Math.Exp(-0.012 * (t + 1)));
        }
    }

    [Fact]
    public void Jsd_falls_evenly_to_no_signal()
    {
        var schedule = DiscreteSchedule.Jsd(100);

        for (var t = 0; t < 100; t++)
            schedule.AlphaBars[t].Should().BeApproximately(1.0 - ((t + 1) / 100.0), 1e-14);
        schedule.AlphaBars[99].Should().Be(0.0);
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(0.0)]
    [InlineData(1.0)]
    public void Warm_up_rises_over_its_part_and_stays(double fraction)
    {
        var betas = DiscreteSchedule.WarmUp(200, fraction, 0.001, 0.05).Betas;
        var rising = (int)(200 * fraction);

        for (var t = 0; t < 200; t++)
            betas[t].Should().BeApproximately(t < rising ? 0.001 + (0.049 * t / (rising - 1.0)) : 0.05, 1e-16);
    }

    [Fact]
    public void The_two_sigmoids_are_not_one()
    {
        var (ofBeta, ofBar) = (DiscreteSchedule.SigmoidBeta(), DiscreteSchedule.SigmoidAlphaBar());

        for (var t = 0; t < 1000; t++)
        {
            ofBeta.Betas[t].Should().BeApproximately(1e-4 + (0.0199 / (1.0 + Math.Exp(6.0 - (12.0 * t / 999.0)))), 1e-16);
            var s = (t + 1) / 1000.0;
            var bar = (Logistic(3.0) - Logistic((6.0 * s) - 3.0)) / (Logistic(3.0) - Logistic(-3.0));
            if (t < 999)
                ofBar.AlphaBars[t].Should().BeApproximately(bar, 1e-13);
        }

        (ofBeta.AlphaBars[500] - ofBar.AlphaBars[500]).Should().NotBeApproximately(0.0, 0.01);
    }

    [Theory]
    [InlineData(-3.0, 3.0, 0.9)]
    [InlineData(0.0, 3.0, 0.5)]
    public void A_sigmoid_of_abar_starts_where_it_is_told(double start, double end, double tau)
    {
        var schedule = DiscreteSchedule.SigmoidAlphaBar(100, start, end, tau, maxBeta: 1.0);
        var (first, last) = (Logistic(start / tau), Logistic(end / tau));

        for (var t = 0; t < 100; t++)
        {
            var expected = (last - Logistic((start + ((end - start) * (t + 1) / 100.0)) / tau)) / (last - first);
            schedule.AlphaBars[t].Should().BeApproximately(expected, 1e-14);
        }
    }

    [Fact]
    public void Laplace_has_the_log_SNR_of_its_paper()
    {
        var schedule = DiscreteSchedule.Laplace(1000, 0.3, 0.5);

        for (var t = 0; t < 999; t++)
        {
            var s = (t + 1) / 1000.0;
            var expected = 0.3 - (0.5 * Math.Sign(0.5 - s) * Math.Log(1.0 - (2.0 * Math.Abs(s - 0.5))));
            schedule.LogSnr(t).Should().BeApproximately(expected, 1e-11);
        }

        // Half of the steps lie within scale * log 2 of the middle.
        Enumerable.Range(0, 1000).Count(t => Math.Abs(schedule.LogSnr(t) - 0.3) <= 0.5 * Math.Log(2.0)).Should().BeInRange(499, 501);
    }

    [Fact]
    public void The_root_of_Laplace_is_that_of_diffusers()
    {
        var schedule = DiscreteSchedule.LaplaceRoot();
        static double Bar(double t)
        {
            var snr = Math.Exp(-0.5 * (t <= 0.5 ? 1.0 : -1.0) * Math.Log(1.0 - (2.0 * Math.Abs(0.5 - t)) + 1e-6));
            return Math.Sqrt(snr / (1.0 + snr));
        }

        for (var t = 0; t < 1000; t++)
            schedule.AlphaBars[t].Should().BeApproximately(Bar((t + 1) / 1000.0) / Bar(0.0), 1e-12);
    }

    [Theory]
    [InlineData(64)]
    [InlineData(256)]
    public void A_cosine_shifted_by_resolution_has_the_shifted_log_SNR(int imageSize)
    {
        var schedule = DiscreteSchedule.CosineShifted(imageSize);
        var (first, last) = (Math.Atan(Math.Exp(-7.5)), Math.Atan(Math.Exp(7.5)));

        for (var t = 0; t < 1000; t++)
        {
            var cosine = -2.0 * Math.Log(Math.Tan(first + ((t + 1) / 1000.0 * (last - first))));
            schedule.LogSnr(t).Should().BeApproximately(cosine + (2.0 * Math.Log(64.0 / imageSize)), 1e-8);
        }
    }

    [Fact]
    public void A_cosine_between_resolutions_starts_at_the_one_and_ends_at_the_other()
    {
        var between = DiscreteSchedule.CosineInterpolated(256);
        var (high, low) = (DiscreteSchedule.CosineShifted(256, noiseSize: 256), DiscreteSchedule.CosineShifted(256, noiseSize: 32));

        between.LogSnr(0).Should().BeApproximately(high.LogSnr(0), 0.005);
        between.LogSnr(999).Should().BeApproximately(low.LogSnr(999), 1e-9);
        between.LogSnr(499).Should().BeApproximately((high.LogSnr(499) + low.LogSnr(499)) / 2.0, 1e-9);
    }

    [Theory]
    [MemberData(nameof(ScheduleNames.Discrete), MemberType = typeof(ScheduleNames))]
    public void Rescaling_keeps_the_first_loses_the_last_and_scales_the_root_of_abar_between(string name)
    {
        var schedule = TestSchedules.Make(name);
        if (schedule.Steps == 1)
        {
            FluentActions.Invoking(schedule.RescaledToZeroTerminalSnr).Should().Throw<InvalidOperationException>().WithMessage("*1 step*");
            return;
        }

        var rescaled = schedule.RescaledToZeroTerminalSnr();

        var (first, last) = (Math.Sqrt(schedule.AlphaBars[0]), Math.Sqrt(schedule.AlphaBars[^1]));
        rescaled.AlphaBars[^1].Should().Be(0.0);
        for (var t = 0; t < schedule.Steps; t++)
        {
            var root = (Math.Sqrt(schedule.AlphaBars[t]) - last) * (first / (first - last));
            rescaled.Alpha(t).Should().BeApproximately(root, 1e-12);
        }

        FluentActions.Invoking(() => new ReverseProcess(rescaled, Prediction.Epsilon)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new ReverseProcess(rescaled, Prediction.Score)).Should().Throw<ArgumentException>();
        using var velocity = new ReverseProcess(rescaled, Prediction.Velocity);
        velocity.Schedule.Should().BeSameAs(rescaled);
    }

    public static TheoryData<string, Action> Faults => new()
    {
        { "*fraction*", () => DiscreteSchedule.WarmUp(10, 1.1) },
        { "*tau*", () => DiscreteSchedule.SigmoidAlphaBar(10, tau: 0.0) },
        { "*end*", () => DiscreteSchedule.SigmoidAlphaBar(10, 3.0, 3.0) },
        { "*start*", () => DiscreteSchedule.SigmoidAlphaBar(10, double.NaN) },
        { "*rate*", () => DiscreteSchedule.Exponential(10, 0.0) },
        { "*scale*", () => DiscreteSchedule.Laplace(10, 0.0, -1.0) },
        { "*location*", () => DiscreteSchedule.Laplace(10, double.PositiveInfinity) },
        { "*imageSize*", () => DiscreteSchedule.CosineShifted(0) },
        { "*noiseSizeLow*", () => DiscreteSchedule.CosineInterpolated(64, noiseSizeLow: 0) },
        { "*beta[0] = 1.5*", () => DiscreteSchedule.Constant(10, 1.5) },
        { "*beta[7] = 1.06*", () => DiscreteSchedule.SigmoidBeta(10, 0.1, 1.1) },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void What_is_out_of_range_is_refused_by_name(string message, Action make)
        => make.Should().Throw<ArgumentException>().WithMessage(message);

    private static double Logistic(double x) => 1.0 / (1.0 + Math.Exp(-x));
}
