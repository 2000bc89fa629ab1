using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

[Collection(nameof(CountsTensors))]
public class BrownianTreeNoiseTests
{
    [Fact]
    public void Increments_over_parts_add_up_to_the_increment_over_the_whole()
    {
        using var like = empty(2, 5, dtype: ScalarType.Float64);
        double[] cuts = [80.0, 33.25, 8.0, 2.71875, 1.0, 0.40625, 0.25, 0.03125, 0.001953125];
        using var whole = new BrownianTreeNoise(seed: 3, count: 2);
        using var parts = new BrownianTreeNoise(seed: 3, count: 2);
        using var draw = whole.Draw(like, cuts[0], cuts[^1]);
        var sum = new double[10];
        for (var k = 0; k + 1 < cuts.Length; k++)
        {
            using var part = parts.Draw(like, cuts[k], cuts[k + 1]);
            sum = [.. sum.Zip(part.Values(), (s, p) => s + (Math.Sqrt(cuts[k] - cuts[k + 1]) * p))];
        }

        sum.Zip(draw.Values(), (s, d) => Math.Abs(s - (Math.Sqrt(cuts[0] - cuts[^1]) * d))).Max().Should().BeLessThan(1e-12);
    }

    [Theory]
    [InlineData(80.0, 0.002)]
    [InlineData(3.0, 2.9)]
    [InlineData(0.0021, 0.002)]
    [InlineData(1.7, 0.0)]
    [InlineData(double.PositiveInfinity, 5.0)]
    public void A_draw_is_standard_normal_whatever_the_interval(double from, double to)
    {
        const int Size = 40_000;
        using var noise = new BrownianTreeNoise(seed: 1, count: 1);
        using var like = empty(1, Size, dtype: ScalarType.Float64);
        using var draw = noise.Draw(like, from, to);
        var values = draw.Values();

        // Four standard errors of the mean, of the variance and of the fourth moment.
        values.Average().Should().BeApproximately(0.0, 4.0 / Math.Sqrt(Size));
        values.Average(x => x * x).Should().BeApproximately(1.0, 4.0 * Math.Sqrt(2.0 / Size));
        values.Average(x => x * x * x * x).Should().BeApproximately(3.0, 4.0 * Math.Sqrt(96.0 / Size));
    }

    [Theory]
    [InlineData(10.0, 5.0, 5.0, 1.0, 0.0)]
    [InlineData(10.0, 4.0, 6.0, 1.0, 0.3651483716701107)]
    [InlineData(10.0, 1.0, 10.0, 4.0, 0.816496580927726)]
    public void Draws_are_correlated_by_what_their_intervals_share(double a, double b, double c, double d, double expected)
    {
        const int Size = 40_000;
        using var noise = new BrownianTreeNoise(seed: 2, count: 1);
        using var like = empty(1, Size, dtype: ScalarType.Float64);
        using var first = noise.Draw(like, a, b);
        using var second = noise.Draw(like, c, d);

        first.Values().Zip(second.Values(), (x, y) => x * y).Average().Should().BeApproximately(expected, 4.0 * Math.Sqrt(2.0 / Size));
    }

    [Fact]
    public void A_draw_depends_on_seed_sample_and_interval_and_not_on_what_was_asked_before()
    {
        using var like = empty(3, 4);
        using var one = empty(1, 4);
        using var fresh = new BrownianTreeNoise(seed: 9, count: 3, firstSample: 5);
        using var used = new BrownianTreeNoise(seed: 9, count: 3, firstSample: 5);
        using var alone = new BrownianTreeNoise(seed: 9, count: 1, firstSample: 6);
        using var other = new BrownianTreeNoise(seed: 10, count: 3, firstSample: 5);
        for (var k = 0; k < 6; k++)
        {
            using var before = used.Draw(like, 20.0 / (k + 1), 11.0 / (k + 1));
            using var plain = used.Draw(like);
        }

        using var expected = fresh.Draw(like, 7.3, 1.9);
        using var actual = used.Draw(like, 7.3, 1.9);
        using var row = alone.Draw(one, 7.3, 1.9);
        using var middle = expected.narrow(0, 1, 1);
        using var seeded = other.Draw(like, 7.3, 1.9);
        using var reversed = fresh.Draw(like, 1.9, 7.3);

        actual.ShouldBeIdentical(expected, "the same interval");
        row.ShouldBeIdentical(middle, "sample 6 alone");
        seeded.Values().Should().NotEqual(expected.Values());
        reversed.Values().Should().Equal(expected.Values().Select(x => -x), "the path is walked the other way");
        expected.dtype.Should().Be(ScalarType.Float32);
    }

    [Fact]
    public void The_start_is_that_of_noise_per_sample_and_an_empty_interval_has_no_noise()
    {
        using var tree = new BrownianTreeNoise(seed: 4, count: 2);
        using var plain = new PerSampleNoise(seed: 4, count: 2);
        using var like = empty(2, 3);
        using var start = tree.Draw(like);
        using var expected = plain.Draw(like);
        using var nothing = tree.Draw(like, 2.0, 2.0);

        start.ShouldBeIdentical(expected, "the start");
        nothing.Values().Should().AllBeEquivalentTo(0.0);
    }

    [Fact]
    public void With_one_path_a_stochastic_solver_converges_on_one_sample()
    {
        var schedule = new EdmSchedule(0.02, 20.0);
        double[] Result(int steps, bool onePath)
        {
            using INoiseSource noise = onePath ? new BrownianTreeNoise(seed: 6, count: 8) : new PerSampleNoise(seed: 6, count: 8);
            using var result = new DiffusionSampler(
                SigmaSpacing.Exponential().CreateGrid(schedule, steps),
                new DpmPlusPlusSdeSolver(),
                new SamplerOptions { Threshold = Thresholding.None }).Sample(
                new ExactDenoiser(schedule, ExactDenoiser.Mixture, Prediction.Epsilon).Model,
                new SamplingRequest { Shape = [8, 4], Noise = noise, Dtype = ScalarType.Float64 },
                cancellationToken: TestContext.Current.CancellationToken);
            return result.Values();
        }

        double Distance(bool onePath, int steps)
            => Math.Sqrt(Result(steps, onePath).Zip(Result(2 * steps, onePath), (a, b) => (a - b) * (a - b)).Average());

        Distance(true, 80).Should().BeLessThan(0.6 * Distance(true, 20));
        Distance(true, 80).Should().BeLessThan(0.1);
        Distance(false, 80).Should().BeGreaterThan(0.3, "other draws lead to another sample");
    }

    [Fact]
    public void Noise_frees_everything_but_its_draws()
        => LiveTensors.Change(() =>
        {
            using var noise = new BrownianTreeNoise(1, 4);
            using var like = empty(4, 3);
            for (var k = 1; k < 10; k++)
            {
                using var draw = noise.Draw(like, 10.0 / k, 10.0 / (k + 1));
            }
        }).Should().Be(0);

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Bad_arguments_are_refused()
    {
        using var noise = new BrownianTreeNoise(0, 3);
        using var three = empty(3, 2);
        using var four = empty(4, 2);
        using var scalar = tensor(1.0);
        using var whole = empty(3, 2, dtype: ScalarType.Int64);
        foreach (var like in new[] { four, scalar, whole })
        {
            var draw = () => noise.Draw(like, 2.0, 1.0);
            draw.Should().Throw<ArgumentException>();
        }

        foreach (var (from, to) in new[] { (-1.0, 0.0), (1.0, double.NaN) })
        {
            var draw = () => noise.Draw(three, from, to);
            draw.Should().Throw<ArgumentOutOfRangeException>();
        }

        foreach (var (count, first) in new[] { (0L, 0L), (1L, -1L) })
        {
            var create = () => new BrownianTreeNoise(0, count, first);
            create.Should().Throw<ArgumentOutOfRangeException>();
        }
    }
}
