using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

/// <summary>EDM's and the consistency models' forms against the tables of their papers, which hold in x / alpha at sigma / alpha.</summary>
public sealed class PreconditioningTests
{
    private const double SigmaMin = 0.002;

    public static TheoryData<double, double, double> Levels
    {
        get
        {
            var result = new TheoryData<double, double, double>();
            foreach (var sigmaData in new[] { 0.5, 1.0, 2.3 })
            {
                foreach (var alpha in new[] { 1.0, 0.3, 1e-3 })
                {
                    foreach (var sigma in new[] { SigmaMin, 0.01, 0.7, 80.0 })
                        result.Add(sigmaData, alpha, sigma);
                }
            }

            return result;
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void EDM_has_the_coefficients_of_table_1(double sigmaData, double alpha, double sigma)
    {
        var level = new NoiseLevel(alpha, sigma * alpha);
        var (variance, dataVariance) = ((sigma * sigma) + (sigmaData * sigmaData), sigmaData * sigmaData);
        var (skip, output, input) = (dataVariance / variance, sigma * sigmaData / Math.Sqrt(variance), 1.0 / Math.Sqrt(variance));

        foreach (var (prediction, sign) in new[] { (Prediction.Edm(sigmaData), 1.0), (Prediction.EdmVelocity(sigmaData), -1.0) })
        {
            var data = prediction.ToX0(level, level);
            ShouldBe(data.First * alpha, skip);
            ShouldBe(data.Second, sign * output);
            ShouldBe(prediction.InputScale!(level) * alpha, input);

            // The effective target of eq. 8, (y - c_skip (y + n)) / c_out, where 1 - c_skip is right to the rounding of 1.
            var target = prediction.Target(level, level);
            target.First.Should().BeApproximately(sign * (1.0 - skip) / output, 4e-16 / output);
            ShouldBe(target.Second, -sign * skip * sigma / output);
        }
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Input_and_target_of_EDM_have_unit_variance(double sigmaData, double alpha, double sigma)
    {
        var level = new NoiseLevel(alpha, sigma * alpha);
        var prediction = Prediction.Edm(sigmaData);
        var (x0, eps) = prediction.Target(level, level);

        ShouldBe((x0 * x0 * sigmaData * sigmaData) + (eps * eps), 1.0);
        ShouldBe(prediction.InputScale!(level) * Math.Sqrt((level.Sigma * level.Sigma) + (alpha * alpha * sigmaData * sigmaData)), 1.0);
    }

    [Theory]
    [MemberData(nameof(Levels))]
    public void Consistency_has_the_coefficients_of_its_appendix(double sigmaData, double alpha, double sigma)
    {
        var level = new NoiseLevel(alpha, sigma * alpha);
        var distance = sigma - SigmaMin;
        var prediction = Prediction.Consistency(sigmaData, SigmaMin);

        var data = prediction.ToX0(level, level);

        ShouldBe(data.First * alpha, sigmaData * sigmaData / ((distance * distance) + (sigmaData * sigmaData)));
        data.Second.Should().BeApproximately(
            sigmaData * distance / Math.Sqrt((sigma * sigma) + (sigmaData * sigmaData)), 1e-15 * (1.0 + Math.Abs(data.Second)));
        ShouldBe(prediction.InputScale!(level) * alpha, 1.0 / Math.Sqrt((sigma * sigma) + (sigmaData * sigmaData)));
    }

    [Fact]
    public void At_its_boundary_a_consistency_model_is_the_identity_whatever_the_network_says()
    {
        var level = new EdmSchedule().LevelAt(new EdmSchedule().MinTime);

        Prediction.Consistency().ToX0(level, level).Should().Be(new LinearPair(1.0, 0.0));
    }

    [Fact]
    public void EDM_for_data_of_unit_variance_is_velocity_with_the_other_sign()
    {
        foreach (var (_, level, previous) in TestSchedules.Levels(DiscreteSchedule.Linear().RescaledToZeroTerminalSnr()))
        {
            var (velocity, edm) = (Prediction.Velocity.Target(level, previous), Prediction.Edm(1.0).Target(level, previous));
            edm.First.Should().BeApproximately(-velocity.First, 1e-15);
            edm.Second.Should().BeApproximately(-velocity.Second, 1e-15);
        }
    }

    [Fact]
    public void Score_is_the_gradient_of_the_log_density()
    {
        var level = new NoiseLevel(0.6, 0.8);
        double LogDensity(double x) => -0.5 * Math.Pow((x - (0.6 * 0.7)) / 0.8, 2);
        var xt = (0.6 * 0.7) + (0.8 * -1.3);

        var score = Prediction.Score.Target(level, level).Apply(0.7, -1.3);

        score.Should().BeApproximately((LogDensity(xt + 1e-5) - LogDensity(xt - 1e-5)) / 2e-5, 1e-9);
    }

    [Theory]
    [InlineData(0.2)]
    [InlineData(0.9)]
    public void Flow_velocity_is_the_derivative_of_x_on_the_straight_line_and_v_that_on_the_circle(double time)
    {
        static double Derivative(Func<double, NoiseLevel> level, double t)
            => (new LinearPair(level(t + 1e-6).Alpha - level(t - 1e-6).Alpha, level(t + 1e-6).Sigma - level(t - 1e-6).Sigma)
                .Apply(0.7, -1.3)) / 2e-6;
        var line = new RectifiedFlowSchedule();
        NoiseLevel Circle(double angle) => new(Math.Cos(angle), Math.Sin(angle));

        Prediction.FlowVelocity.Target(line.LevelAt(time), default).Apply(0.7, -1.3)
            .Should().BeApproximately(Derivative(line.LevelAt, time), 1e-9);
        Prediction.Velocity.Target(Circle(time), default).Apply(0.7, -1.3).Should().BeApproximately(Derivative(Circle, time), 1e-9);
    }

    [Fact]
    public void Settings_make_predictions_equal_and_faults_are_refused()
    {
        Prediction.Edm(0.5).Should().Be(Prediction.Edm()).And.NotBe(Prediction.Edm(0.6)).And.NotBe(Prediction.EdmVelocity());
        Prediction.Consistency().Should().Be(Prediction.Consistency(0.5, 0.002)).And.NotBe(Prediction.Consistency(0.5, 0.0));
        foreach (var bad in new[] { 0.0, -1.0, double.NaN, double.PositiveInfinity })
        {
            FluentActions.Invoking(() => Prediction.Edm(bad)).Should().Throw<ArgumentOutOfRangeException>().WithMessage("*sigmaData*");
            FluentActions.Invoking(() => Prediction.EdmVelocity(bad)).Should().Throw<ArgumentOutOfRangeException>();
            FluentActions.Invoking(() => Prediction.Consistency(bad)).Should().Throw<ArgumentOutOfRangeException>();
        }

        FluentActions.Invoking(() => Prediction.Consistency(0.5, -0.1))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("*sigmaMin*");
    }

    [Fact]
    public void The_network_sees_x_scaled_for_each_sample_where_the_prediction_says_so()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = new EdmSchedule();
        using var process = new ForwardProcess(schedule);
        var t = TestTensors.Values(schedule.TimeOfSigma(0.5), schedule.TimeOfSigma(1.2));
        var xt = TestTensors.Filled(2.0, [2, 1, 3]);

        var input = process.NetworkInput(Prediction.Edm(), xt, t).data<double>().ToArray();
        var plain = process.NetworkInput(Prediction.Epsilon, xt, t);

        RelativeError.OfEach(input, [.. Enumerable.Repeat(2.0 / Math.Sqrt(0.5), 3), .. Enumerable.Repeat(2.0 / 1.3, 3)])
            .Should().BeLessThan(1e-15);
        plain.data<double>().ToArray().Should().OnlyContain(x => x == 2.0);
        plain.Dispose();
        xt.data<double>().ToArray().Should().OnlyContain(x => x == 2.0, "the argument is not touched");
        LiveTensors.Change(() =>
        {
            for (var i = 0; i < 10; i++)
            {
                process.NetworkInput(Prediction.Edm(), xt, t).Dispose();
                process.NetworkInput(Prediction.X0, xt, t).Dispose();
            }
        }).Should().Be(0);
    }

    [Fact]
    public void Scaling_the_input_passes_gradients_and_serves_every_discrete_schedule()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Linear(10, 0.01, 0.5);
        using var process = new ForwardProcess(schedule);
        var xt = TestTensors.Filled(1.0, [10, 1]).requires_grad_();

        process.NetworkInput(Prediction.Consistency(1.0), xt, TestTensors.AllTimes(schedule)).sum().backward();

        RelativeError.OfEach(xt.grad!.data<double>().ToArray(), Enumerable.Repeat(1.0, 10).ToArray()).Should()
            .BeLessThan(1e-15, "x_t of data of unit variance has unit variance");
    }

    private static void ShouldBe(double actual, double expected) => actual.Should().BeApproximately(expected, 2e-15 * Math.Abs(expected));
}
