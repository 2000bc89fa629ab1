using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Linear layers of float32 against those of float64, values and gradients.</summary>
[Collection(nameof(AttentionPrecisionTests))]
public class LinearPrecisionTests
{
    /// <summary>The shape of the input, then the outputs: widths of whole vectors and others, few rows and many.</summary>
    public static TheoryData<long[]> Sizes => new((long[][])[
        [1, 8, 8], [2, 16, 24], [7, 24, 40], [48, 96, 96], [49, 96, 104], [128, 32, 256], [700, 64, 72], [3, 5, 16, 8], [2, 3, 37, 48, 56],
        [5, 26, 96], [5, 96, 2], [1, 1, 1], [300, 512, 136]]);

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Of_any_size(long[] size)
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(1);
        Tensor Draw(params long[] shape) => randn(shape, dtype: ScalarType.Float32, generator: seed);
        var (inputs, outputs) = (size[^2], size[^1]);
        var x = Draw(size[..^1]);
        var (weight, bias, upstream) = (Draw(outputs, inputs), Draw(outputs), Draw([.. size[..^2], outputs]));
        foreach (var shift in new[] { bias, null })
        {
            var actual = Run(x, weight, shift, upstream);
            var expected = Run(Wide(x), Wide(weight), shift is null ? null : Wide(shift), Wide(upstream));
            actual.Should().HaveCount(shift is null ? 3 : 4);
            for (var k = 0; k < actual.Length; k++)
                Error(actual[k], expected[k]).Should().BeLessThan(3e-6, "of result {0}", k);
        }
    }

    [Theory]
    [InlineData(true, false, false)]
    [InlineData(false, true, false)]
    [InlineData(false, false, true)]
    [InlineData(false, false, false)]
    public void Only_what_learns_has_a_gradient(bool input, bool matrix, bool shift)
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(2);
        Tensor Draw(bool learns, params long[] shape) => randn(shape, dtype: ScalarType.Float32, generator: seed).requires_grad_(learns);
        var (x, weight, bias) = (Draw(input, 6, 16), Draw(matrix, 8, 16), Draw(shift, 8));

        var y = nn.functional.linear(x, weight, bias);

        y.requires_grad.Should().Be(input || matrix || shift);
        if (!y.requires_grad)
            return;
        y.sum().backward();
        (x.grad is not null, weight.grad is not null, bias.grad is not null).Should().Be((input, matrix, shift));
    }

    [Fact]
    public void Layouts_with_gaps_and_turned_gradients_are_read_as_they_are()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(3);
        Tensor Draw(params long[] shape) => randn(shape, dtype: ScalarType.Float32, generator: seed);
        var (weight, bias) = (Draw(24, 16), Draw(24));
        var columns = Draw(16, 40).t();
        var part = Draw(40, 32).narrow(1, 8, 16);
        var turned = Draw(24, 40).t();
        foreach (var x in new[] { columns, part })
        {
            var actual = Run(x, weight, bias, turned);
            var expected = Run(Wide(x), Wide(weight), Wide(bias), Wide(turned));
            for (var k = 0; k < actual.Length; k++)
                Error(actual[k], expected[k]).Should().BeLessThan(3e-6);
        }

        var one = ones([1, 1], ScalarType.Float32).expand(40, 24);
        Error(Run(part, weight, bias, one)[1], Run(Wide(part), Wide(weight), Wide(bias), Wide(one))[1]).Should().BeLessThan(3e-6);
    }

    [Fact]
    public void The_gradient_of_a_gradient_is_that_of_float64()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(4);
        Tensor Draw(params long[] shape) => randn(shape, dtype: ScalarType.Float32, generator: seed);
        var (x, weight, bias) = (Draw(5, 8), Draw(16, 8), Draw(16));
        Tensor Second(Tensor input, Tensor matrix, Tensor shift)
        {
            var leaf = input.detach().requires_grad_();
            var first = autograd.grad([nn.functional.linear(leaf, matrix, shift).pow(3).sum()], [leaf], retain_graph: true, create_graph: true)[0];
            return autograd.grad([first.square().sum()], [leaf])[0];
        }

        Error(Second(x, weight, bias), Second(Wide(x), Wide(weight), Wide(bias))).Should().BeLessThan(1e-5);
    }

    [Fact]
    public void An_input_that_was_changed_since_is_noticed()
    {
        using var scope = NewDisposeScope();
        var x = ones([4, 8], ScalarType.Float32);
        var weight = ones([8, 8], ScalarType.Float32).requires_grad_();
        var y = nn.functional.linear(x, weight);
        x.add_(1.0);

        FluentActions.Invoking(() => y.sum().backward()).Should().Throw<ExternalException>().WithMessage("*modified by an inplace operation*");
    }

    [Fact]
    public void Is_the_same_bit_for_bit_with_any_number_of_threads()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(5);
        Tensor Draw(params long[] shape) => randn(shape, dtype: ScalarType.Float32, generator: seed);
        var (x, weight, bias, upstream) = (Draw(777, 96), Draw(136, 96), Draw(136), Draw(777, 136));
        var threads = get_num_threads();
        try
        {
            set_num_threads(1);
            var one = Run(x, weight, bias, upstream);
            set_num_threads(2);
            var two = Run(x, weight, bias, upstream);
            for (var k = 0; k < one.Length; k++)
                Values.Of(two[k]).Should().Equal(Values.Of(one[k]));
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    private static Tensor[] Run(Tensor x, Tensor weight, Tensor? bias, Tensor upstream)
    {
        var leaves = new[] { x, weight, bias }.OfType<Tensor>().Select(leaf => leaf.detach().requires_grad_()).ToArray();
        var y = nn.functional.linear(leaves[0], leaves[1], leaves.ElementAtOrDefault(2));
        return [y.detach(), .. autograd.grad([y], leaves, [upstream])];
    }

    private static Tensor Wide(Tensor x) => x.to(ScalarType.Float64);

    private static double Error(Tensor actual, Tensor expected)
    {
        using var scope = NewDisposeScope();
        actual.shape.Should().Equal(expected.shape);
        var difference = actual.detach().to(ScalarType.Float64).sub(expected.detach().to(ScalarType.Float64)).abs().max().item<double>();
        return difference / Math.Max(expected.detach().to(ScalarType.Float64).abs().max().item<double>(), 1e-30);
    }
}
