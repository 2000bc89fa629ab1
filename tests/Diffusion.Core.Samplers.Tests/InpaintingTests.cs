using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

public class InpaintingTests
{
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void The_known_part_is_kept_exactly(int repeats)
    {
        using var known = tensor(new[] { 0.5, -0.25, 0.1, -0.9 }).reshape(2, 2);
        using var mask = tensor(new[] { 1.0, 0.0, 0.0, 1.0 }).reshape(2, 2);
        var grid = RePaintSolver.Resampled(TimeSpacing.Trailing.CreateGrid(_schedule, 20), jump: 4, repeats);
        var sampler = new DiffusionSampler(
            grid, new RePaintSolver(new AncestralSolver(), known, mask), new SamplerOptions { Threshold = Thresholding.None });
        var denoiser = new ExactDenoiser(_schedule, ExactDenoiser.Mixture, Prediction.Epsilon);

        using var result = sampler.Sample(
            denoiser.Model,
            new SamplingRequest { Shape = [2, 2], Dtype = ScalarType.Float64 },
            cancellationToken: TestContext.Current.CancellationToken);

        var values = result.Values();
        (values[0], values[3]).Should().Be((0.5, -0.9));
        values[1].Should().NotBe(-0.25);
    }

    [Fact]
    public void A_resampled_grid_walks_each_part_as_often_as_asked_and_goes_up_in_between()
    {
        var plain = TimeSpacing.Trailing.CreateGrid(_schedule, 5);
        var grid = RePaintSolver.Resampled(plain, jump: 2, repeats: 3);

        // Parts of 2, 2 and 1 steps, each three times, with two ways up.
        grid.Count.Should().Be((3 * 5) + (2 * 3));
        var ups = Enumerable.Range(0, grid.Count).Count(k => grid.Levels[k + 1].NoiseToSignalRatio > grid.Levels[k].NoiseToSignalRatio);
        ups.Should().Be(6);
        grid.Levels[^1].Should().Be(plain.Levels[^1]);
        RePaintSolver.Resampled(plain, 2, 1).Levels.ToArray().Should().Equal(plain.Levels.ToArray());
    }

    /// <summary>Over 4096 elements a correlation of independent draws has a standard deviation of 1 / 64.</summary>
    [Fact]
    public void No_draw_repeats_another_though_the_noise_follows_a_Brownian_path()
    {
        const int Elements = 4096;
        using var known = zeros([1, Elements], dtype: ScalarType.Float64);
        using var path = new BrownianTreeNoise(seed: 5, count: 1);
        var draws = new List<double[]>();
        using var noise = new RecordedNoise(path, draws);
        var grid = RePaintSolver.Resampled(TimeSpacing.Trailing.CreateGrid(_schedule, 4), jump: 2, repeats: 2);
        var sampler = new DiffusionSampler(grid, new RePaintSolver(new AncestralSolver(), known, known));

        using var result = sampler.Sample(
            new FunctionDenoiser(x => x.mul(0.5)).On(_schedule),
            new SamplingRequest { Shape = [1, Elements], Noise = noise, Dtype = ScalarType.Float64 },
            cancellationToken: TestContext.Current.CancellationToken);

        // The start, two ways up, and two for each of the eight steps down but the two that end without noise.
        draws.Should().HaveCount(1 + 2 + (2 * 6));
        for (var i = 0; i < draws.Count; i++)
        {
            draws[i].Average(value => value * value).Should().BeApproximately(1.0, 0.12);
            for (var j = 0; j < i; j++)
                draws[i].Zip(draws[j], (a, b) => a * b).Average().Should().BeApproximately(0.0, 0.08, $"draws {j} and {i} are independent");
        }
    }

    /// <summary>
    /// Two strongly correlated Gaussian elements, one of them known: resampling brings the other nearer to its conditional mean. Exact
    /// moments of the affine trajectory, no random draws.
    /// </summary>
    [Fact]
    public void Going_back_and_forth_brings_the_unknown_part_nearer_to_the_known_one()
    {
        var once = Error(1);
        var often = Error(8);
        often.Should().BeLessThan(0.6 * once);

        static double Error(int repeats)
        {
            using var known = tensor(new[] { 0.8, 0.0 }).reshape(1, 2);
            using var mask = tensor(new[] { 1.0, 0.0 }).reshape(1, 2);
            var grid = RePaintSolver.Resampled(TimeSpacing.Trailing.CreateGrid(_schedule, 50), jump: 5, repeats);
            var sampler = new DiffusionSampler(
                grid, new RePaintSolver(new AncestralSolver(), known, mask), new SamplerOptions { Threshold = Thresholding.None });

            // All draws zero: the mean of the trajectory.
            using var silence = new ReplayNoise((_, like) => zeros_like(like));
            using var result = sampler.Sample(
                new FunctionDenoiser(Correlated).On(_schedule),
                new SamplingRequest { Shape = [1, 2], Noise = silence, Dtype = ScalarType.Float64 },
                cancellationToken: TestContext.Current.CancellationToken);
            return Math.Abs(result.Values()[1] - (0.9 * 0.8));
        }

        // eps of data with unit variances and correlation 0.9: (x - alpha E[x_0 | x]) / sigma with the 2 x 2 covariance inverted by hand.
        static Tensor Correlated(Tensor x, Tensor t, Models.Condition? condition)
        {
            var (alpha, sigma) = _schedule.LevelAt(t.Values()[0]);
            var (variance, covariance) = ((alpha * alpha) + (sigma * sigma), alpha * alpha * 0.9);
            var determinant = (variance * variance) - (covariance * covariance);
            var v = x.Values();
            var (a, b) = (sigma * ((variance * v[0]) - (covariance * v[1])) / determinant, sigma * ((variance * v[1]) - (covariance * v[0])) / determinant);
            using var flat = tensor(new[] { a, b });
            return flat.reshape(1, 2).clone();
        }
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        using var known = zeros([1, 2]);
        using var mask = zeros([1, 3]);
        ((Action)(() => _ = new RePaintSolver(new AncestralSolver(), known, mask))).Should().Throw<ArgumentException>().WithMessage("*[1, 2]*[1, 3]*");
        ((Action)(() => RePaintSolver.Resampled(TimeSpacing.Trailing.CreateGrid(_schedule, 5), 0))).Should().Throw<ArgumentOutOfRangeException>();
        var sampler = new DiffusionSampler(TimeSpacing.Trailing.CreateGrid(_schedule, 3), new RePaintSolver(new DdimSolver(), known, known));
        var other = () => sampler.Sample(new FunctionDenoiser(x => x.mul(0.5)).On(_schedule), [2, 2], 0);
        other.Should().Throw<ArgumentException>().WithMessage("*[1, 2]*[2, 2]*");
    }

    private sealed class RecordedNoise(INoiseSource source, List<double[]> draws) : INoiseSource
    {
        public Tensor Draw(Tensor like) => Record(source.Draw(like));

        public Tensor Draw(Tensor like, double from, double to) => Record(source.Draw(like, from, to));

        public void Dispose()
        {
        }

        private Tensor Record(Tensor drawn)
        {
            draws.Add(drawn.Values());
            return drawn;
        }
    }
}
