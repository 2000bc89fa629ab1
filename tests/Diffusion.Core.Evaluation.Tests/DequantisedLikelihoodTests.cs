using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

public sealed class DequantisedLikelihoodTests
{
    private static readonly DiffusionModel Unused = new FunctionDenoiser(x => x.clone()).On(DiscreteSchedule.Linear());

    [Theory]
    [InlineData(256, 7.0)]
    [InlineData(2, 0.0)]
    [InlineData(16, 3.0)]
    public void Even_data_under_the_even_density_costs_log2_of_the_levels(int levels, double offset)
    {
        using var scope = NewDisposeScope();
        var likelihood = new DequantisedLikelihood(new EvenDensity(), levels);

        var bits = likelihood.BitsPerDim(Unused, ones([2, 3], dtype: ScalarType.Float32), new LikelihoodRequest(), TestContext.Current.CancellationToken);

        likelihood.Offset.Should().Be(offset);
        bits.Values().Should().Equal(Math.Log2(levels), Math.Log2(levels));
    }

    [Fact]
    public void Every_level_is_spread_evenly_over_its_own_bin()
    {
        using var scope = NewDisposeScope();
        var grid = arange(0, 256, 1, dtype: ScalarType.Float32).div(127.5).sub(1.0);
        var samples = grid.unsqueeze(0).repeat(200, 1);

        var spread = new DequantisedLikelihood(new EvenDensity()).Dequantise(samples, new LikelihoodRequest { Seed = 2 }).Values();

        var places = new List<double>();
        for (var i = 0; i < spread.Length; i++)
        {
            var place = ((spread[i] + 1.0) * 128.0) - (i % 256);
            place.Should().BeInRange(-1e-4, 1.0 + 1e-4);
            places.Add(place);
        }

        // Kolmogorov's distance; 1.95 / sqrt(n) is exceeded by chance once in a thousand.
        places.Sort();
        places.Select((place, i) => Math.Abs(place - ((i + 0.5) / places.Count))).Max().Should().BeLessThan(1.95 / Math.Sqrt(places.Count));
    }

    [Fact]
    public void A_sample_has_its_noise_in_any_batch()
    {
        using var scope = NewDisposeScope();
        var likelihood = new DequantisedLikelihood(new EvenDensity());
        var samples = ones([3, 4], dtype: ScalarType.Float64);

        var batch = likelihood.Dequantise(samples, new LikelihoodRequest { Seed = 1, FirstSample = 7 });
        var alone = likelihood.Dequantise(samples.narrow(0, 0, 1), new LikelihoodRequest { Seed = 1, FirstSample = 9 });

        batch.narrow(0, 2, 1).ShouldBeIdentical(alone, "noise");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Bad_arguments_are_refused()
    {
        FluentActions.Invoking(() => new DequantisedLikelihood(null!)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => new DequantisedLikelihood(new EvenDensity(), 1)).Should().Throw<ArgumentOutOfRangeException>();
        using var integers = zeros([2, 3], dtype: ScalarType.Int64);
        FluentActions.Invoking(() => new DequantisedLikelihood(new EvenDensity()).Dequantise(integers, new LikelihoodRequest()))
            .Should().Throw<ArgumentException>().WithMessage("*Int64*");
        using var points = tensor(new[] { -1.0, 0.3, 2.5 }).unsqueeze(0);
        FluentActions.Invoking(() => new DequantisedLikelihood(new EvenDensity()).Dequantise(points, new LikelihoodRequest()))
            .Should().Throw<ArgumentException>().WithMessage("*grid of 256*from -1 to 2.5*");
    }

    /// <summary>A density of 1/2 everywhere on [-1, 1]: 1 bit/dim.</summary>
    private sealed class EvenDensity : ILikelihood
    {
        public Tensor BitsPerDim(DiffusionModel model, Tensor samples, LikelihoodRequest request, CancellationToken cancellationToken = default)
            => ones([samples.shape[0]], dtype: ScalarType.Float64);
    }
}
