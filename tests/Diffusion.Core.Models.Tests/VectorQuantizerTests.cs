using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class VectorQuantizerTests
{
    private const int Codes = 7;
    private const int Width = 3;

    [Fact]
    public void Each_place_takes_the_nearest_code()
    {
        using var scope = NewDisposeScope();
        using var quantizer = Create(out var z);

        using var result = quantizer.Quantize(z);

        var codebook = Rows(quantizer.Codebook);
        var places = result.Indices.data<long>().ToArray();
        result.Indices.shape.Should().Equal(2, 4, 5);
        var expected = Rows(z.permute(0, 2, 3, 1).reshape(-1, Width)).Select(row => Nearest(row, codebook)).ToArray();
        places.Should().Equal(expected);
        places.Distinct().Should().HaveCountGreaterThan(3);
        RelativeError.OfSamples(result.Quantized, quantizer.Lookup(result.Indices)).Should().BeLessThan(1e-14);
    }

    [Fact]
    public void Gradients_pass_straight_through()
    {
        using var scope = NewDisposeScope();
        using var quantizer = Create(out var z);
        z.requires_grad_();
        var weights = randn_like(z);

        using var result = quantizer.Quantize(z);
        result.Quantized.mul(weights).sum().backward();

        RelativeError.OfSamples(z.grad!, weights).Should().Be(0.0);
        quantizer.Codebook.grad.Should().BeNull();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_loss_and_its_gradients_are_those_of_van_den_oord_et_al(bool legacy)
    {
        using var scope = NewDisposeScope();
        using var quantizer = Create(out var z, new() { Codes = Codes, Width = Width, Beta = 0.4, LegacyBeta = legacy });
        z.requires_grad_();

        using var result = quantizer.Quantize(z);
        result.Loss.backward();

        var difference = z.detach().sub(quantizer.Lookup(result.Indices).detach());
        var mean = difference.square().mean().item<double>();
        var (commitment, codebook) = legacy ? (1.0, 0.4) : (0.4, 1.0);
        result.Loss.item<double>().Should().BeApproximately((commitment + codebook) * mean, 1e-12);
        RelativeError.OfSamples(z.grad!, difference.mul(2 * commitment / z.numel())).Should().BeLessThan(1e-12);
        var pull = zeros_like(quantizer.Codebook);
        var flat = difference.permute(0, 2, 3, 1).reshape(-1, Width);
        var places = result.Indices.data<long>().ToArray();
        for (var i = 0; i < places.Length; i++)
            pull[places[i]].sub_(flat[i].mul(2 * codebook / z.numel()));
        RelativeError.OfSamples(quantizer.Codebook.grad!, pull).Should().BeLessThan(1e-12);
    }

    [Fact]
    public void A_codebook_of_averages_moves_towards_what_it_stands_for_in_training_only()
    {
        using var scope = NewDisposeScope();
        const double Decay = 0.8;
        using var quantizer = Create(out var z, new() { Codes = Codes, Width = Width, AverageDecay = Decay });
        var before = quantizer.Codebook.detach().clone();
        using (new EvaluationMode(quantizer))
            quantizer.Quantize(z).Dispose();
        RelativeError.OfSamples(quantizer.Codebook, before).Should().Be(0.0);
        var sums = quantizer.get_buffer("embed_avg")!.clone();

        using var result = quantizer.Quantize(z);

        var places = result.Indices.data<long>().ToArray();
        var flat = z.permute(0, 2, 3, 1).reshape(-1, Width);
        var sizes = Enumerable.Range(0, Codes).Select(code => (Decay * 1.0) + ((1 - Decay) * places.Count(place => place == code))).ToArray();
        var total = sizes.Sum();
        var expected = zeros_like(before);
        for (var code = 0; code < Codes; code++)
        {
            var chosen = sums[code].mul(Decay);
            for (var i = 0; i < places.Length; i++)
            {
                if (places[i] == code)
                    chosen.add_(flat[i].mul(1 - Decay));
            }

            expected[code].copy_(chosen.div((sizes[code] + 1e-5) / (total + (Codes * 1e-5)) * total));
        }

        RelativeError.OfSamples(quantizer.Codebook, expected).Should().BeLessThan(1e-12);
        quantizer.Codebook.requires_grad.Should().BeFalse();
        var nearest = before.index_select(0, result.Indices.reshape(-1));
        result.Loss.item<double>().Should().BeApproximately(0.25 * flat.sub(nearest).square().mean().item<double>(), 1e-12);
    }

    [Fact]
    public void Averages_find_the_centres_of_clusters()
    {
        using var scope = NewDisposeScope();
        random.manual_seed(3);
        using var quantizer = new VectorQuantizer(new() { Codes = 2, Width = 1, AverageDecay = 0.5 });
        var z = cat([randn(50, 1).mul(0.01).add(3), randn(50, 1).mul(0.01).sub(1)]);

        for (var step = 0; step < 40; step++)
            quantizer.Quantize(z).Dispose();

        quantizer.Codebook.data<float>().Order().ToArray().Should().Equal([-1f, 3f], (a, b) => Math.Abs(a - b) < 0.01f);
    }

    [Fact]
    public void Averages_stay_finite_whatever_comes()
    {
        using var scope = NewDisposeScope();
        using var quantizer = Create(out var z, new() { Codes = Codes, Width = Width, AverageDecay = 0.9 });
        z[0, 1, 2, 3].fill_(double.NaN);
        z[1, 0, 0, 0].fill_(double.PositiveInfinity);

        quantizer.Quantize(z).Dispose();

        quantizer.Codebook.isfinite().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void Perplexity_and_usage_count_codes()
    {
        using var scope = NewDisposeScope();
        var indices = tensor(new long[] { 0, 0, 1, 1, 2, 2, 2, 2 }).view(2, 2, 2);

        VectorQuantizer.Usage(indices, 6).Should().Be(0.5);
        VectorQuantizer.Perplexity(indices, 6).Should().BeApproximately(Math.Exp((0.5 * Math.Log(4)) + (0.5 * Math.Log(2))), 1e-12);
        VectorQuantizer.Perplexity(zeros([5], ScalarType.Int64), 6).Should().BeApproximately(1.0, 1e-12);
    }

    [Fact]
    public void Inputs_that_do_not_fit_are_refused_and_nothing_stays()
    {
        using var quantizer = new VectorQuantizer(new() { Codes = Codes, Width = Width });
        using var narrow = zeros(2, 2, 4);
        using var z = zeros(2, Width);
        using var place = tensor(1L);
        using var places = tensor(new long[] { 0, Codes }).view(1, 2);

        LiveTensors.Change(() =>
        {
            FluentActions.Invoking(() => quantizer.Quantize(narrow)).Should().Throw<ArgumentException>().WithMessage("*[B, 3, ...]*[2, 2, 4]*");
            FluentActions.Invoking(() => quantizer.Lookup(places)).Should().Throw<ArgumentException>().WithMessage("*[0, 6]*7*");
            FluentActions.Invoking(() => quantizer.Lookup(place)).Should().Throw<ArgumentException>().WithMessage("*[B, ...]*[]*");
            quantizer.Quantize(z).Dispose();
        }).Should().Be(0);
        FluentActions.Invoking(() => new VectorQuantizer(new() { Width = 1, AverageDecay = 1.0 })).Should().Throw<ArgumentException>().WithMessage("*AverageDecay*");
    }

    private static VectorQuantizer Create(out Tensor z, VectorQuantizerOptions? options = null)
    {
        random.manual_seed(11);
        var quantizer = (VectorQuantizer)new VectorQuantizer(options ?? new() { Codes = Codes, Width = Width }).to(ScalarType.Float64);
        using (no_grad())
            quantizer.Codebook.normal_();
        z = randn(2, Width, 4, 5, dtype: ScalarType.Float64);
        return quantizer;
    }

    private static double[][] Rows(Tensor matrix)
    {
        var values = matrix.detach().contiguous().data<double>().ToArray();
        return [.. values.Chunk(Width)];
    }

    private static long Nearest(double[] row, double[][] codebook)
        => Array.IndexOf(codebook, codebook.MinBy(code => code.Zip(row, (a, b) => (a - b) * (a - b)).Sum()));
}
