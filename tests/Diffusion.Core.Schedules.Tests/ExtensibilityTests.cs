using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

/// <summary>A schedule, a prediction and a variance of a user's own, each one class on the public surface, used with the rest.</summary>
public sealed class ExtensibilityTests
{
    [Fact]
    public void A_schedule_of_ones_own_noises_data_at_floating_point_times()
    {
        using var scope = torch.NewDisposeScope();
        using var process = new ForwardProcess(new Parabola());
        var t = TestTensors.Values(0.25, 1.0);

        var xt = process.Sample(TestTensors.Filled(2.0, [2, 1]), t, TestTensors.Filled(-4.0, [2, 1]));

        xt.data<double>().ToArray().Should().Equal(0.875, -4.0);
    }

    [Fact]
    public void A_schedule_of_ones_own_has_its_alpha_sigma_log_SNR_and_inverse()
    {
        var schedule = new Parabola();

        schedule.Alpha(0.25).Should().Be(0.9375);
        schedule.Sigma(0.25).Should().Be(0.25);
        schedule.LogSnr(0.25).Should().BeApproximately(2.0 * Math.Log(3.75), 1e-14);
        schedule.TimeOf(2.0 * Math.Log(3.75)).Should().BeApproximately(0.25, 1e-14);
    }

    [Fact]
    public void A_schedule_of_ones_own_becomes_a_discrete_one()
    {
        var discrete = DiscreteSchedule.Discretise(new Parabola(), 4);

        discrete.Betas[3].Should().Be(1.0);
        for (var i = 0; i < 3; i++)
            discrete.LogSnr(i).Should().BeApproximately(new Parabola().LogSnr((i + 1) / 4.0), 1e-13);
    }

    [Fact]
    public void A_schedule_of_ones_own_may_say_what_its_network_is_told_and_how_a_log_SNR_is_inverted()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = new Doubling();
        using var process = new ForwardProcess(schedule);

        schedule.TimeOf(-2.0 * Math.Log(8.0)).Should().Be(3.0);
        schedule.Inversions.Should().Be(1);
        process.ModelTimesteps(TestTensors.Values(0.0, 3.0, 10.0)).data<double>().ToArray().Should().Equal(0.0, 0.3, 1.0);
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.7)]
    public void A_prediction_of_ones_own_trains_and_converts(double time)
    {
        using var scope = torch.NewDisposeScope();
        var schedule = new Parabola();
        using var process = new ForwardProcess(schedule);
        using var toData = new ScheduledPair(schedule, new TwiceTheNoise().ToX0);
        using var toNoise = new ScheduledPair(schedule, new TwiceTheNoise().ToEpsilon);
        var (t, x0, noise) = (TestTensors.Values(time), TestTensors.Filled(0.7, [1, 1]), TestTensors.Filled(-1.3, [1, 1]));
        var xt = process.Sample(x0, t, noise);

        var output = process.Target(new TwiceTheNoise(), x0, t, noise);

        output.item<double>().Should().BeApproximately(-2.6, 1e-15);
        toData.Apply(t, xt, output).item<double>().Should().BeApproximately(0.7, 1e-14);
        toNoise.Apply(t, xt, output).item<double>().Should().BeApproximately(-1.3, 1e-14);
    }

    [Fact]
    public void A_prediction_and_a_variance_of_ones_own_run_the_reverse_process()
    {
        using var scope = torch.NewDisposeScope();
        var schedule = DiscreteSchedule.Cosine(100);
        using var forward = new DdpmProcess(schedule);
        using var reverse = new ReverseProcess(schedule, new TwiceTheNoise(), new Between()) { Clip = false };
        var (t, x0, noise) = (TestTensors.Times(60), TestTensors.Filled(0.7, [1, 1]), TestTensors.Filled(-1.3, [1, 1]));
        var xt = forward.Sample(x0, t, noise);

        using var result = reverse.Transition(xt, t, forward.Target(new TwiceTheNoise(), x0, t, noise));

        result.Data.item<double>().Should().BeApproximately(0.7, 1e-14);
        result.Mean.item<double>().Should().BeApproximately(forward.PosteriorMean(x0, xt, t).item<double>(), 1e-14);
        result.Variance.item<double>().Should().BeInRange(schedule.PosteriorVariance[60], schedule.Betas[60]);
        result.LogVariance.item<double>().Should().BeApproximately(Math.Log(result.Variance.item<double>()), 1e-14);
    }

    /// <summary>The noise grows evenly, and the data fades ever faster.</summary>
    private sealed class Parabola : INoiseSchedule
    {
        public double MinTime => 0.0;

        public double MaxTime => 1.0;

        public NoiseLevel LevelAt(double t) => new(1.0 - (t * t), t);
    }

    /// <summary>sigma doubles with each unit of time, of which the network is told the share that has passed.</summary>
    private sealed class Doubling : INoiseSchedule
    {
        public double MinTime => 0.0;

        public double MaxTime => 10.0;

        public int Inversions { get; private set; }

        public NoiseLevel LevelAt(double t) => new(1.0, Math.Pow(2.0, t));

        public double ModelTimestep(double t) => t / 10.0;

        public double InvertLogSnr(double logSnr)
        {
            Inversions++;
            return -0.5 * logSnr / Math.Log(2.0);
        }
    }

    /// <summary>2 eps.</summary>
    private sealed class TwiceTheNoise : Prediction
    {
        public override string Name => "twice the noise";

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(0.0, 2.0);

        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous) => new(1.0 / level.Alpha, -0.5 * level.Sigma / level.Alpha);

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => new(0.0, 0.5);
    }

    /// <summary>The geometric mean of the two fixed variances.</summary>
    private sealed class Between : ReverseVariance
    {
        public override string Name => "between";

        public override LinearPair LogVariance(ReverseTransition transition)
            => new(0.5 * Math.Log(transition.ClippedPosteriorVariance * transition.ForwardVariance), 0.0);
    }
}
