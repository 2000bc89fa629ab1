using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Group norm of float32 against that of float64, values and gradients, in both layouts of memory.</summary>
[Collection(nameof(AttentionPrecisionTests))]
public class GroupNormPrecisionTests
{
    /// <summary>Groups, then the shape of the input.</summary>
    public static TheoryData<long[]> Sizes => new((long[][])[
        [2, 3, 4, 1], [1, 2, 6, 5], [2, 3, 6, 7, 5], [6, 3, 6, 7, 5], [32, 2, 64, 8, 8], [4, 2, 20, 33, 1], [3, 2, 9, 3, 4, 5],
        [2, 1, 4, 1, 1], [2, 40, 4, 3, 3]]);

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Of_any_size(long[] size)
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(1);
        Tensor Draw(params long[] shape) => randn(shape, dtype: ScalarType.Float32, generator: seed);
        var x = Draw(size[1..]);
        var (weight, bias, upstream) = (Draw(size[2]), Draw(size[2]), Draw(size[1..]));
        foreach (var (input, gradient) in new[] { (x, upstream), (Last(x), upstream), (x, Last(upstream)), (Last(x), Last(upstream)) })
        {
            foreach (var scales in new[] { true, false })
            {
                var actual = Run(size[0], input, scales ? weight : null, scales ? bias : null, gradient);
                var expected = Run(
                    size[0], Wide(input), scales ? Wide(weight) : null, scales ? Wide(bias) : null, Wide(gradient));
                actual.Should().HaveCount(scales ? 4 : 2);
                for (var k = 0; k < actual.Length; k++)
                    Error(actual[k], expected[k]).Should().BeLessThan(5e-6, "of result {0}", k);
            }
        }
    }

    [Fact]
    public void A_mean_far_from_zero_costs_no_more_than_its_rounding()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(2);
        var x = randn([2, 8, 16, 16], dtype: ScalarType.Float32, generator: seed).add(1000);
        Error(nn.functional.group_norm(x, 2), nn.functional.group_norm(Wide(x), 2)).Should().BeLessThan(5e-4);

        // libtorch itself subtracts squares where channels come last, and is left with nothing of a mean of 1000.
        var last = Last(x.sub(990));
        Error(nn.functional.group_norm(last, 2), nn.functional.group_norm(Wide(last), 2)).Should().BeLessThan(5e-4);
    }

    [Fact]
    public void A_gradient_that_is_one_number_for_all_is_read_as_it_lies()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(3);
        var x = randn([2, 4, 3, 3], dtype: ScalarType.Float32, generator: seed).requires_grad_();
        var y = nn.functional.group_norm(x, 2);
        y.square().sum().backward();
        x.grad!.abs().max().item<float>().Should().BeLessThan(1e-3f);
        var sums = autograd.grad([nn.functional.group_norm(x, 2)], [x], [ones([1, 1, 1, 1], ScalarType.Float32).expand(2, 4, 3, 3)]);
        sums[0].abs().max().item<float>().Should().BeLessThan(1e-5f);
    }

    [Fact]
    public void The_gradient_of_a_gradient_is_that_of_float64()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(4);
        var x = randn([2, 4, 3, 3], dtype: ScalarType.Float32, generator: seed);
        Tensor Second(Tensor input)
        {
            var leaf = input.detach().requires_grad_();
            var first = autograd.grad([nn.functional.group_norm(leaf, 2).pow(3).sum()], [leaf], retain_graph: true, create_graph: true)[0];
            return autograd.grad([first.square().sum()], [leaf])[0];
        }

        Error(Second(x), Second(Wide(x))).Should().BeLessThan(1e-5);
    }

    [Fact]
    public void Is_the_same_bit_for_bit_with_any_number_of_threads()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(5);
        Tensor Draw(params long[] shape) => randn(shape, dtype: ScalarType.Float32, generator: seed);
        var (x, weight, bias, upstream) = (Draw(8, 64, 17, 17), Draw(64), Draw(64), Draw(8, 64, 17, 17));
        var threads = get_num_threads();
        try
        {
            foreach (var input in new[] { x, Last(x) })
            {
                var runs = new[] { 1, 2, 2 }.Select(count =>
                {
                    set_num_threads(count);
                    return Run(32, input, weight, bias, upstream).SelectMany(Values.Of).ToArray();
                }).ToArray();
                runs[1].Should().Equal(runs[0]);
                runs[2].Should().Equal(runs[0]);
            }
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Fact]
    public void The_gradient_of_a_gradient_counts_every_way_once_where_scales_are_made_of_the_input()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(6);
        var x = randn([2, 4, 3, 3], dtype: ScalarType.Float32, generator: seed);
        Tensor Second(Tensor input)
        {
            var leaf = input.detach().requires_grad_();
            var (weight, bias) = (leaf.mean([0, 2, 3]).sin(), leaf.square().mean([0, 2, 3]));
            var y = nn.functional.group_norm(leaf, 2, weight, bias).pow(3).sum();
            var first = autograd.grad([y], [leaf], retain_graph: true, create_graph: true)[0];
            return cat([first.detach(), autograd.grad([first.square().sum()], [leaf])[0]]);
        }

        Error(Second(x), Second(Wide(x))).Should().BeLessThan(1e-5);
    }

    [Fact]
    public void A_bias_may_change_before_the_way_back_and_a_weight_or_an_input_may_not()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(7);
        var leaf = randn([2, 4, 3, 3], dtype: ScalarType.Float32, generator: seed).requires_grad_();
        Action Changing(int which) => () =>
        {
            Tensor[] given = [leaf.mul(1), leaf.mean([0, 2, 3]), leaf.mean([0, 2, 3])];
            var y = nn.functional.group_norm(given[0], 2, given[1], given[2]);
            given[which].add_(1);
            y.square().sum().backward();
        };
        Changing(2).Should().NotThrow();
        foreach (var which in new[] { 0, 1 })
            Changing(which).Should().Throw<System.Runtime.InteropServices.ExternalException>().WithMessage("*inplace*");
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    public void What_is_not_finite_spoils_its_group_and_no_other(double number)
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(8);
        var x = randn([2, 6, 5, 7], dtype: ScalarType.Float32, generator: seed);
        x[1, 2, 3, 4].fill_(number);
        foreach (var input in new[] { x, Last(x) })
        {
            var results = Run(3, input, null, null, ones_like(x));
            foreach (var result in results)
            {
                result[1].narrow(0, 2, 2).isfinite().any().item<bool>().Should().BeFalse();
                result.isfinite().sum().item<long>().Should().Be(x.numel() - (2 * 35));
            }
        }
    }

    private static Tensor Wide(Tensor x) => x.to(ScalarType.Float64);

    /// <summary>Channels side by side in memory.</summary>
    private static Tensor Last(Tensor x)
    {
        var rank = (int)x.dim();
        long[] last = [0, .. Enumerable.Range(2, rank - 2).Select(d => (long)d), 1];
        long[] back = [0, rank - 1, .. Enumerable.Range(1, rank - 2).Select(d => (long)d)];
        return x.permute(last).contiguous().permute(back);
    }

    private static Tensor[] Run(long groups, Tensor x, Tensor? weight, Tensor? bias, Tensor upstream)
    {
        var inputs = new[] { x, weight, bias }.OfType<Tensor>().Select(tensor => tensor.detach().requires_grad_()).ToArray();
        var y = weight is null
            ? nn.functional.group_norm(inputs[0], groups)
            : nn.functional.group_norm(inputs[0], groups, inputs[1], inputs[2]);
        return [y, .. autograd.grad([y], inputs, [upstream])];
    }

    private static double Error(Tensor actual, Tensor expected)
        => Wide(actual).sub(expected).norm().div(expected.norm().add(1)).item<double>();
}
