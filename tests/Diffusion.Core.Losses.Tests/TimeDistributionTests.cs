using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using MathNet.Numerics.Distributions;

namespace Diffusion.Core.Losses.Tests;

/// <summary>Each distribution against its cumulative distribution in closed form, by Kolmogorov's distance over an even grid.</summary>
public sealed class TimeDistributionTests
{
    private const double ImageSize = 64.0;

    private static readonly LogSigmaSchedule Exploding = new(preservesVariance: false);

    // Log-SNRs from 30 down to -30: beyond what any distribution below draws more than once in a thousand.
    private static readonly CosineLogSnrSchedule Wide = new(-30.0, 30.0);

    /// <summary>P(log-SNR of the draw is at least lambda).</summary>
    private static Dictionary<string, (TimeDistribution Distribution, Func<double, double> AtLeast)> OverNoise { get; } = new()
    {
        ["log-normal"] = (TimeDistribution.LogNormal(), lambda => Normal.CDF(-1.2, 1.2, -0.5 * lambda)),
        ["laplace"] = (TimeDistribution.Laplace(0.3, 0.5), lambda => 1.0 - new Laplace(0.3, 0.5).CumulativeDistribution(lambda)),
        ["cosine-interpolated"] = (
            TimeDistribution.CosineInterpolated(ImageSize, 32.0, 32.0), lambda => Cosine(32.0 / ImageSize, lambda)),
        ["noise-of"] = (
            TimeDistribution.NoiseOf(Exploding), lambda => (-0.5 * lambda - Exploding.MinTime) / (Exploding.MaxTime - Exploding.MinTime)),
        ["uniform-log-snr"] = (TimeDistribution.UniformLogSnr, lambda => (30.0 - lambda) / 60.0),
    };

    /// <summary>P(the draw is at most the share s of the way).</summary>
    private static Dictionary<string, (TimeDistribution Distribution, Func<double, double> AtMost)> OverTime { get; } = new()
    {
        ["uniform"] = (TimeDistribution.Uniform, s => s),
        ["cosmap"] = (TimeDistribution.CosMap, s => 2.0 / Math.PI * Math.Atan(s / (1.0 - s))),
        ["logit-normal"] = (TimeDistribution.LogitNormal(0.4, 0.9), s => Normal.CDF(0.4, 0.9, Math.Log(s / (1.0 - s)))),
        ["mode"] = (TimeDistribution.Mode(), s => 1.0 - PaperMode(1.29, s)),
    };

    public static TheoryData<string> NoiseNames => [.. OverNoise.Keys];

    public static TheoryData<string> TimeNames => [.. OverTime.Keys];

    [Theory]
    [MemberData(nameof(NoiseNames))]
    public void A_distribution_over_the_noise_has_its_closed_form_on_any_schedule(string name)
    {
        var (distribution, atLeast) = OverNoise[name];

        distribution.Name.Should().Be(name);
        Grid(4000).Max(u => Math.Abs(atLeast(Wide.LogSnr(distribution.Quantile(Wide, u))) - u)).Should().BeLessThan(1e-9);
    }

    [Theory]
    [MemberData(nameof(NoiseNames))]
    public void On_a_discrete_schedule_each_index_is_drawn_for_what_is_nearest_to_it(string name)
    {
        var schedule = DiscreteSchedule.Cosine(60);
        var (distribution, atLeast) = OverNoise[name];
        if (name == "uniform-log-snr")
            atLeast = lambda => (schedule.LogSnr(0) - lambda) / (schedule.LogSnr(0) - schedule.LogSnr(59));
        var draws = Grid(20_000).Select(u => distribution.Quantile(schedule, u)).ToArray();

        draws.Should().OnlyContain(t => t == Math.Round(t) && t >= 0.0 && t <= 59.0);
        for (var t = 0; t < 59; t++)
            (draws.Count(draw => draw <= t) / 20_000.0)
                .Should().BeApproximately(Math.Clamp(atLeast(schedule.LogSnr(t + 0.5)), 0.0, 1.0), 1e-4, $"t = {t}");
    }

    [Theory]
    [MemberData(nameof(TimeNames))]
    public void A_distribution_over_the_time_has_its_closed_form(string name)
    {
        var (distribution, atMost) = OverTime[name];
        var schedule = new RectifiedFlowSchedule();
        var (discrete, steps) = (DiscreteSchedule.Linear(40), 40);

        distribution.Name.Should().Be(name);
        Grid(4000).Max(u => Math.Abs(atMost(Share(schedule, distribution.Quantile(schedule, u))) - u)).Should().BeLessThan(1e-9);
        Grid(4000).Max(u => Math.Abs(atMost(Share(Exploding, distribution.Quantile(Exploding, u))) - u)).Should().BeLessThan(1e-9);
        var draws = Grid(20_000).Select(u => distribution.Quantile(discrete, u)).ToArray();
        for (var t = 0; t < steps - 1; t++)
            (draws.Count(draw => draw <= t) / 20_000.0).Should().BeApproximately(atMost((t + 1.0) / steps), 1e-4, $"t = {t}");
    }

    [Fact]
    public void The_interpolated_cosine_is_that_of_k_diffusion()
    {
        const double Deviation = 0.5, Low = 32.0, High = 128.0, Least = 1e-3, Most = 1e3;
        static double Shifted(double t, double noise)
        {
            var shift = 2.0 * Math.Log(noise / ImageSize);
            var first = Math.Atan(Math.Exp(-0.5 * ((-2.0 * Math.Log(Most / Deviation)) - shift)));
            var last = Math.Atan(Math.Exp(-0.5 * ((-2.0 * Math.Log(Least / Deviation)) - shift)));
            return (-2.0 * Math.Log(Math.Tan(first + (t * (last - first))))) + shift;
        }

        var distribution = TimeDistribution.CosineInterpolated(ImageSize, Low, High, Deviation, Least, Most);

        // Their draw falls from the most noise to the least.
        foreach (var u in Grid(50))
        {
            var (low, high) = (Shifted(1.0 - u, Low), Shifted(1.0 - u, High));
            var sigma = Math.Exp(-0.5 * (low + ((1.0 - u) * (high - low)))) * Deviation;
            Wide.LevelAt(distribution.Quantile(Wide, u)).NoiseToSignalRatio.Should().BeApproximately(sigma, 1e-9 * sigma);
        }
    }

    [Fact]
    public void The_log_normal_noise_of_edm_is_logit_normal_on_the_straight_path()
    {
        var straight = new RectifiedFlowSchedule();
        foreach (var u in Grid(100))
            TimeDistribution.LogNormal(0.3, 0.8).Quantile(straight, u)
                .Should().BeApproximately(TimeDistribution.LogitNormal(0.3, 0.8).Quantile(straight, u), 1e-9);
    }

    [Fact]
    public void What_lies_beyond_a_schedule_is_taken_at_its_end()
    {
        foreach (var (distribution, _) in OverNoise.Values.Concat(OverTime.Values.Select(entry => (entry.Distribution, entry.AtMost))))
        {
            distribution.Quantile(Exploding, 0.0).Should().BeInRange(Exploding.MinTime, Exploding.MaxTime);
            distribution.Quantile(Exploding, 1.0).Should().BeInRange(Exploding.MinTime, Exploding.MaxTime);
        }

        TimeDistribution.LogNormal(50.0, 0.1).Quantile(Exploding, 0.5).Should().Be(Exploding.MaxTime);
        TimeDistribution.LogNormal(-50.0, 0.1).Quantile(Exploding, 0.5).Should().Be(Exploding.MinTime);
        TimeDistribution.LogNormal(-50.0, 0.1).Quantile(new LinearVpSchedule(), 0.5).Should().BeInRange(0.0, 1e-9);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Numbers_out_of_range_are_refused()
    {
        FluentActions.Invoking(() => TimeDistribution.LogNormal(0.0, 0.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => TimeDistribution.LogNormal(double.NaN)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => TimeDistribution.Laplace(0.0, -1.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => TimeDistribution.Mode(1.8)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => TimeDistribution.Mode(-1.1)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => TimeDistribution.CosineInterpolated(0.0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => TimeDistribution.CosineInterpolated(64.0, minSigma: 2.0, maxSigma: 1.0))
            .Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => TimeDistribution.Uniform.Quantile(Wide, 1.1)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => TimeDistribution.Uniform.Quantile(null!, 0.1)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => TimeDistribution.UniformLogSnr.Quantile(new LinearVpSchedule(), 0.5))
            .Should().Throw<ArgumentException>();
    }

    private static IEnumerable<double> Grid(int count) => Enumerable.Range(0, count).Select(i => (i + 0.5) / count);

    private static double Share(INoiseSchedule schedule, double t) => (t - schedule.MinTime) / (schedule.MaxTime - schedule.MinTime);

    /// <summary>
    /// P(log-SNR is at least lambda) on a cosine schedule that is cut to sigmas from .001 to 1000, for data of deviation .5.
    /// </summary>
    private static double Cosine(double ratio, double lambda)
    {
        double Angle(double sigma) => Math.Atan(ratio * sigma / 0.5);
        return (Angle(Math.Exp(-0.5 * lambda)) - Angle(1e-3)) / (Angle(1e3) - Angle(1e-3));
    }

    /// <summary>u where the paper's f(u) = 1 - u - s (cos^2(pi u / 2) - 1 + u) is t, by bisection.</summary>
    private static double PaperMode(double scale, double t)
    {
        var (low, high) = (0.0, 1.0);
        for (var i = 0; i < 60; i++)
        {
            var u = (low + high) / 2.0;
            var f = 1.0 - u - (scale * (Math.Pow(Math.Cos(Math.PI * u / 2.0), 2.0) - 1.0 + u));
            (low, high) = f > t ? (u, high) : (low, u);
        }

        return low;
    }
}
