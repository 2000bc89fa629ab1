using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class SinusoidalEmbeddingTests
{
    [Theory]
    [InlineData(8, true, 0.0)]
    [InlineData(8, false, 1.0)]
    [InlineData(2, false, 0.0)]
    public void It_holds_the_sines_and_cosines_of_geometric_frequencies(int width, bool flip, double shift)
    {
        using var scope = NewDisposeScope();
        using var embedding = new SinusoidalEmbedding(width, flip, shift);
        long[] times = [0, 1, 417, 999];
        var half = width / 2;

        var actual = embedding.call(tensor(times));

        actual.shape.Should().Equal(4, width);
        actual.dtype.Should().Be(ScalarType.Float64);
        for (var b = 0; b < times.Length; b++)
        {
            for (var i = 0; i < half; i++)
            {
                var angle = times[b] * Math.Pow(10_000, -i / (half - shift));
                var row = actual[b];
                row[flip ? half + i : i].item<double>().Should().BeApproximately(Math.Sin(angle), 1e-12);
                row[flip ? i : half + i].item<double>().Should().BeApproximately(Math.Cos(angle), 1e-12);
            }
        }
    }

    [Fact]
    public void Times_may_be_floating_point_and_a_cast_module_stays_exact()
    {
        using var scope = NewDisposeScope();
        using var exact = new SinusoidalEmbedding(16);
        using var cast = new SinusoidalEmbedding(16).to(ScalarType.BFloat16);
        var expected = exact.call(tensor(new long[] { 3, 999 }));

        cast.call(tensor(new float[] { 3, 999 })).data<double>().ToArray().Should().Equal(expected.data<double>().ToArray());
        cast.call(tensor(new double[] { 3, 999 })).data<double>().ToArray().Should().Equal(expected.data<double>().ToArray());
    }

    [Fact]
    public void It_has_no_state_and_frees_its_frequencies()
    {
        LiveTensors.Change(() =>
        {
            using var embedding = new SinusoidalEmbedding(4);
            using var times = tensor(new long[] { 1 });
            using var result = embedding.call(times);
            embedding.state_dict().Should().BeEmpty();
        }).Should().Be(0);
    }

    [Fact]
    public void Widths_and_shapes_that_do_not_fit_are_refused()
    {
        using var embedding = new SinusoidalEmbedding(4);
        using var times = zeros(2, 1);

        FluentActions.Invoking(() => new SinusoidalEmbedding(5)).Should().Throw<ArgumentException>().WithMessage("*even*5*");
        FluentActions.Invoking(() => new SinusoidalEmbedding(0)).Should().Throw<ArgumentException>().WithMessage("*even*0*");
        FluentActions.Invoking(() => new SinusoidalEmbedding(4, frequencyShift: 2)).Should().Throw<ArgumentException>().WithMessage("*2*");
        FluentActions.Invoking(() => embedding.call(times)).Should().Throw<ArgumentException>().WithMessage("*[*]*[2, 1]*");
    }
}
