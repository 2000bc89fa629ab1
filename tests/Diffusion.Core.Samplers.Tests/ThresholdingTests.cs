using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

[Collection(nameof(CountsTensors))]
public class ThresholdingTests
{
    [Theory]
    [InlineData(1.0, new[] { -1.0, -0.5, 0.0, 0.9, 1.0 })]
    [InlineData(0.8, new[] { -0.8, -0.5, 0.0, 0.8, 0.8 })]
    public void Static_thresholding_clips(double range, double[] expected)
    {
        using var data = tensor(new[] { -3.0, -0.5, 0.0, 0.9, 7.0 });
        using var actual = Thresholding.Static(range).Apply(data);

        actual.Values().Should().Equal(expected);
        data.Values().Should().Equal(-3.0, -0.5, 0.0, 0.9, 7.0);
    }

    [Theory]
    [InlineData(0.5, null)]
    [InlineData(0.7, 1.2)]
    [InlineData(0.995, null)]
    [InlineData(1.0, null)]
    [InlineData(0.0, null)]
    [InlineData(0.9, 1.0)]
    public void Dynamic_thresholding_divides_each_sample_by_its_own_quantile(double quantile, double? maximum)
    {
        var random = new Random(5);
        double[][] samples = [.. Enumerable.Range(0, 3).Select(i => Enumerable.Range(0, 24).Select(_ => (i + 0.5) * ((4.0 * random.NextDouble()) - 2.0)).ToArray())];
        using var flat = tensor(samples.SelectMany(sample => sample).ToArray());
        using var data = flat.reshape(3, 2, 3, 4);
        using var actual = Thresholding.Dynamic(quantile, maximum).Apply(data);

        actual.shape.Should().Equal(3, 2, 3, 4);
        var expected = samples.SelectMany(sample =>
        {
            var sorted = sample.Select(Math.Abs).Order().ToArray();
            var position = quantile * (sorted.Length - 1);
            var below = (int)Math.Floor(position);
            var above = Math.Min(below + 1, sorted.Length - 1);
            var value = sorted[below] + ((position - below) * (sorted[above] - sorted[below]));
            var scale = Math.Min(Math.Max(value, 1.0), maximum ?? double.PositiveInfinity);
            return sample.Select(x => Math.Clamp(x, -scale, scale) / scale);
        });
        actual.Values().Zip(expected, (a, e) => Math.Abs(a - e)).Max().Should().BeLessThan(1e-14);
    }

    [Fact]
    public void Dynamic_thresholding_leaves_samples_within_range_alone()
    {
        using var data = tensor(new[,] { { -0.9f, 0.2f }, { 1.0f, 0.5f } });
        using var actual = Thresholding.Dynamic().Apply(data);

        actual.ShouldBeIdentical(data, "a sample within [-1, 1]");
    }

    [Fact]
    public void Nothing_but_the_answer_stays_behind()
        => LiveTensors.Change(() =>
        {
            using var data = randn(4, 3, 5);
            using var dynamic = Thresholding.Dynamic(0.9).Apply(data);
            using var fixedRange = Thresholding.Static().Apply(data);
        }).Should().Be(0);

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Bad_arguments_are_refused()
    {
        foreach (var range in new[] { 0.0, -1.0, double.NaN, double.PositiveInfinity })
        {
            var create = () => Thresholding.Static(range);
            create.Should().Throw<ArgumentOutOfRangeException>().WithMessage("range must be finite and greater than 0*");
        }

        foreach (var (quantile, maximum) in new (double, double?)[] { (-0.1, null), (1.1, null), (double.NaN, null), (0.5, 0.9), (0.5, double.NaN) })
        {
            var create = () => Thresholding.Dynamic(quantile, maximum);
            create.Should().Throw<ArgumentOutOfRangeException>();
        }

        using var scalar = tensor(1.0);
        using var whole = tensor(new long[] { 1, 2 });
        foreach (var data in new[] { scalar, whole })
        {
            var apply = () => Thresholding.Dynamic().Apply(data);
            apply.Should().Throw<ArgumentException>();
        }
    }
}
