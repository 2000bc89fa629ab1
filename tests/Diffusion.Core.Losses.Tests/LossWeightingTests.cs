using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using MathNet.Numerics;
using MathNet.Numerics.Distributions;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

public sealed class LossWeightingTests
{
    private static readonly DiscreteSchedule Linear = DiscreteSchedule.Linear();

    private static readonly double[] FlowTimes = [1e-3, 0.05, 0.3, 0.5, 0.62, 0.9, 0.999];

    private static readonly NoiseLevel[] Levels =
    [
        Linear.LevelAt(0), Linear.LevelAt(300), Linear.LevelAt(999), NoiseLevel.FromLogSnr(0.0), NoiseLevel.FromLogSnr(12.0),
        new NoiseLevel(1.0, 0.02), new NoiseLevel(1.0, 7.0), new NoiseLevel(0.3, 0.7), NoiseLevel.FromLogSnr(-15.0),
    ];

    /// <summary>Each weighting with its weight of the error in x_0, as its paper has it.</summary>
    private static Dictionary<string, (LossWeighting Weighting, Func<NoiseLevel, double> Data)> All { get; } = new()
    {
        ["snr"] = (LossWeighting.Snr, level => level.Snr),
        ["truncated-snr"] = (LossWeighting.TruncatedSnr, level => Math.Max(level.Snr, 1.0)),
        ["debiased"] = (LossWeighting.Debiased, level => Math.Sqrt(level.Snr)),
        ["min-snr"] = (LossWeighting.MinSnr(), level => Math.Min(level.Snr, 5.0)),
        ["soft-min-snr"] = (LossWeighting.SoftMinSnr(), level => 4.0 * level.Snr / (4.0 + level.Snr)),
        ["sigmoid"] = (LossWeighting.Sigmoid(-3.0), level => level.Snr / (1.0 + Math.Exp(level.LogSnr + 3.0))),
        ["p2"] = (LossWeighting.P2(1.0, 0.5), level => level.Snr / Math.Sqrt(1.0 + level.Snr)),
        ["edm"] = (LossWeighting.Edm(), level => (Math.Pow(level.NoiseToSignalRatio, 2.0) + 0.25) / Math.Pow(0.5 * level.NoiseToSignalRatio, 2.0)),
        ["sigma-sqrt"] = (FlowWeighting.SigmaSqrt, level => OfVelocity(level, _ => 1.0)),
        ["cosmap"] = (FlowWeighting.CosMap, level => OfVelocity(level, t => 2.0 / Math.PI / ((t * t) + ((1.0 - t) * (1.0 - t))))),
        ["logit-normal"] = (
            FlowWeighting.LogitNormal(0.2, 0.8),
            level => OfVelocity(level, t => Normal.PDF(0.2, 0.8, Math.Log(t / (1.0 - t))) / (t * (1.0 - t)))),
        ["mode"] = (FlowWeighting.Mode(), level => OfVelocity(level, t => ModeDensity(t, 1.29))),
    };

    private static Prediction[] Predictions { get; } =
    [
        Prediction.Epsilon, Prediction.X0, Prediction.Velocity, Prediction.FlowVelocity, Prediction.Score, Prediction.Edm(0.7),
    ];

    public static TheoryData<string> Names => [.. All.Keys];

    public static TheoryData<string> AllNames => [.. All.Keys, "none"];

    [Theory]
    [MemberData(nameof(Names))]
    public void The_error_in_x0_has_the_weight_of_the_paper(string name)
    {
        var (weighting, data) = All[name];

        weighting.Name.Should().Be(name);
        foreach (var level in Levels)
            weighting.Weight(level, level, Prediction.X0).Should().BeApproximately(data(level), 1e-9 * data(level), $"{level}");
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void One_model_has_one_loss_in_every_prediction(string name)
    {
        const double X0 = 0.37, Eps = -1.2, Error = 0.05;
        foreach (var level in Levels)
        {
            var expected = All[name].Data(level) * Error * Error;
            foreach (var prediction in Predictions)
            {
                // The output that stands for an x_0 that is off by the error.
                var xt = (level.Alpha * X0) + (level.Sigma * Eps);
                var noise = (xt - (level.Alpha * (X0 + Error))) / level.Sigma;
                var target = prediction.Target(level, level);
                var difference = target.Apply(X0 + Error, noise) - target.Apply(X0, Eps);

                var loss = All[name].Weighting.Weight(level, level, prediction) * difference * difference;

                loss.Should().BeApproximately(expected, 1e-6 * expected, $"{prediction.Name} at {level}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(AllNames))]
    public void Every_weight_is_finite_without_signal_and_without_noise(string name)
    {
        var weighting = name == "none" ? LossWeighting.None : All[name].Weighting;
        foreach (var level in new[] { new NoiseLevel(0.0, 1.0), new NoiseLevel(1.0, 0.0), new NoiseLevel(0.0, 80.0) })
        {
            foreach (var prediction in Predictions)
            {
                var weight = weighting.Weight(level, level, prediction);

                // Within the range of single precision, too.
                weight.Should().BeInRange(0.0, 1e34, $"{prediction.Name} at {level}");
            }
        }
    }

    [Theory]
    [InlineData("min-snr", 0.0, 1.0, "epsilon", 1.0)]
    [InlineData("min-snr", 0.0, 1.0, "velocity", 0.0)]
    [InlineData("min-snr", 1.0, 0.0, "x0", 5.0)]
    [InlineData("min-snr", 1.0, 0.0, "epsilon", 0.0)]
    [InlineData("snr", 0.0, 1.0, "epsilon", 1.0)]
    [InlineData("snr", 1.0, 0.0, "epsilon", 1.0)]
    [InlineData("snr", 1.0, 0.0, "velocity", 1.0)]
    [InlineData("truncated-snr", 0.0, 1.0, "x0", 1.0)]
    [InlineData("truncated-snr", 0.0, 1.0, "velocity", 1.0)]
    [InlineData("edm", 1.0, 0.0, "edm", 1.0)]
    [InlineData("edm", 0.0, 1.0, "edm", 1.0)]
    [InlineData("sigma-sqrt", 0.0, 1.0, "flow-velocity", 1.0)]
    [InlineData("sigma-sqrt", 1.0, 0.0, "flow-velocity", 1.0)]
    public void Where_a_weight_has_a_limit_it_is_that(string name, double alpha, double sigma, string prediction, double limit)
    {
        var level = new NoiseLevel(alpha, sigma);
        var form = Predictions.Select(p => p.Name == "edm" ? Prediction.Edm() : p).Single(p => p.Name == prediction);

        All[name].Weighting.Weight(level, level, form).Should().BeApproximately(limit, 1e-12);
    }

    [Fact]
    public void Min_snr_has_the_published_weights_of_eps_and_v()
    {
        foreach (var t in new[] { 0, 100, 500, 999 })
        {
            var level = Linear.LevelAt(t);
            var least = Math.Min(level.Snr, 5.0);
            var weighting = LossWeighting.MinSnr();
            weighting.Weight(level, level, Prediction.Epsilon).Should().BeApproximately(least / level.Snr, 1e-12);
            weighting.Weight(level, level, Prediction.Velocity).Should().BeApproximately(least / (level.Snr + 1.0), 1e-12);
            weighting.Weight(level, level, Prediction.X0).Should().Be(least);
        }
    }

    [Fact]
    public void The_raw_network_of_edm_has_weight_one_and_soft_min_snr_is_that_of_k_diffusion()
    {
        const double Deviation = 0.7;
        foreach (var sigma in new[] { 0.002, 0.3, 5.0, 80.0 })
        {
            var level = new NoiseLevel(1.0, sigma);
            LossWeighting.Edm(Deviation).Weight(level, level, Prediction.Edm(Deviation)).Should().BeApproximately(1.0, 1e-12);

            // k-diffusion weighs the raw network by (sigma sd)^2 / (sigma^2 + sd^2)^2.
            var expected = Math.Pow(sigma * Deviation, 2.0) / Math.Pow((sigma * sigma) + (Deviation * Deviation), 2.0);
            LossWeighting.SoftMinSnr(1.0 / (Deviation * Deviation)).Weight(level, level, Prediction.Edm(Deviation))
                .Should().BeApproximately(expected, 1e-12 * expected);
        }
    }

    [Fact]
    public void The_sigmoid_is_the_soft_minimum_by_another_name()
    {
        foreach (var level in Levels)
            LossWeighting.Sigmoid(1.5).Weight(level, level, Prediction.Velocity)
                .Should().BeApproximately(LossWeighting.SoftMinSnr(Math.Exp(1.5)).Weight(level, level, Prediction.Velocity), 1e-12);
    }

    [Theory]
    [InlineData("cosmap")]
    [InlineData("logit-normal")]
    [InlineData("mode")]
    public void The_weights_of_the_velocity_are_densities(string name)
    {
        double Weight(double t)
        {
            var level = new NoiseLevel(1.0 - t, t);
            return All[name].Weighting.Weight(level, level, Prediction.FlowVelocity);
        }

        Integrate.GaussLegendre(Weight, 0.0, 1.0, 1024).Should().BeApproximately(1.0, 1e-6);
        foreach (var t in FlowTimes)
            Weight(t).Should().BeGreaterThan(0.0);
    }

    [Fact]
    public void The_mean_is_weighed_as_x0_where_the_network_predicts_it()
    {
        var (level, previous) = (Linear.LevelAt(500), Linear.LevelAt(499));
        var slope = 1.0 / Linear.PosteriorMeanCoefficient1[500];

        LossWeighting.MinSnr().Weight(level, previous, Prediction.PreviousMean)
            .Should().BeApproximately(Math.Min(level.Snr, 5.0) * slope * slope, 1e-9 * slope * slope);
    }

    [Fact]
    public void A_weighting_of_ones_own_is_a_function()
    {
        var weighting = LossWeighting.OfData("mine", level => 2.0 * level.Sigma);

        weighting.Name.Should().Be("mine");
        weighting.Weight(new NoiseLevel(0.8, 0.6), NoiseLevel.Clean, Prediction.X0).Should().Be(1.2);
    }

    [Theory]
    [MemberData(nameof(AllNames))]
    public void The_loss_is_the_weighted_distance_on_a_schedule_that_ends_without_signal(string name)
    {
        using var scope = torch.NewDisposeScope();
        var betas = new double[10];
        Array.Fill(betas, 0.3);
        betas[^1] = 1.0;
        var schedule = DiscreteSchedule.FromBetas(betas);
        var weighting = name == "none" ? LossWeighting.None : All[name].Weighting;
        var x = torch.ones([3, 4], dtype: torch.ScalarType.Float32).mul(0.3);
        var t = torch.tensor(new long[] { 0, 5, 9 }, dtype: torch.ScalarType.Int64);
        using var model = new FunctionDenoiser((xt, _) => xt.mul(0.0)).On(schedule, Prediction.Velocity);
        var context = new LossContext(model, x, t, x);

        using var plain = new SimpleLoss(Distance.L1).Evaluate(context);
        using var weighed = new SimpleLoss(Distance.L1, weighting).Evaluate(context);
        using var squared = new SimpleLoss().Evaluate(context);

        for (var i = 0; i < 3; i++)
        {
            var (level, previous) = (schedule.LevelAt(t[i].item<long>()), schedule.PreviousLevel((int)t[i].item<long>()));
            var weight = weighting.Weight(level, previous, Prediction.Velocity);
            weighed.Loss[i].item<float>()
                .Should().BeApproximately((float)(weight * plain.Loss[i].item<float>()), 1e-5f * (float)(1.0 + weight));
            weighed["mse"][i].item<float>().Should().BeApproximately(squared.Loss[i].item<float>(), 1e-6f);
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Numbers_out_of_range_and_weights_that_are_none_are_refused()
    {
        FluentActions.Invoking(() => LossWeighting.MinSnr(0.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => LossWeighting.SoftMinSnr(-1.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => LossWeighting.P2(0.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => LossWeighting.P2(1.0, -1.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => LossWeighting.Edm(double.NaN)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => LossWeighting.Sigmoid(100.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => FlowWeighting.Mode(1.76)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => FlowWeighting.LogitNormal(0.0, 0.0)).Should().Throw<ArgumentOutOfRangeException>();
        using var model = new FunctionDenoiser((xt, _) => xt.mul(1.0)).On(Linear);
        using var x = torch.ones([1, 2]);
        using var t = torch.tensor(new long[] { 5 }, dtype: torch.ScalarType.Int64);
        var negative = new SimpleLoss(weighting: LossWeighting.OfData("negative", _ => -1.0));
        FluentActions.Invoking(() => negative.Evaluate(new LossContext(model, x, t, x)))
            .Should().Throw<ArgumentException>().WithMessage("*'negative'*not negative*");
    }

    /// <summary>The weight of x_0 that goes with one of the velocity of the straight path.</summary>
    private static double OfVelocity(NoiseLevel level, Func<double, double> weight)
    {
        var t = level.Sigma / (level.Alpha + level.Sigma);
        return weight(t) / (t * t);
    }

    /// <summary>The density of mode sampling by bisection of the paper's own, falling function.</summary>
    private static double ModeDensity(double t, double scale)
    {
        double Paper(double u) => 1.0 - u - (scale * (Math.Pow(Math.Cos(Math.PI * u / 2.0), 2.0) - 1.0 + u));
        var (low, high) = (0.0, 1.0);
        for (var i = 0; i < 60; i++)
        {
            var middle = (low + high) / 2.0;
            (low, high) = Paper(middle) > t ? (middle, high) : (low, middle);
        }

        return 1e-6 / Math.Abs(Paper(low + 5e-7) - Paper(low - 5e-7));
    }
}
