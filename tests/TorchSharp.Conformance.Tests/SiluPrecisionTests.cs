using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>SiLU of float32 against x / (1 + e^-x) in float64, values and gradients, in any layout. Changes the number of threads.</summary>
[Collection(nameof(AttentionPrecisionTests))]
public class SiluPrecisionTests
{
    /// <summary>x times less than the smallest normal number counts as zero.</summary>
    private const double Smallest = 2e-36;

    [Fact]
    public void Of_every_count_up_to_several_vectors()
    {
        using var seed = new Generator(1);
        for (var count = 1; count <= 67; count++)
        {
            using var scope = NewDisposeScope();
            Check(randn([count], dtype: ScalarType.Float32, generator: seed).mul(4));
        }
    }

    [Theory]
    [InlineData("narrowed")]
    [InlineData("transposed")]
    [InlineData("channels last")]
    [InlineData("every second")]
    [InlineData("expanded")]
    public void Of_any_layout(string layout)
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(2);
        Tensor Draw(params long[] shape) => randn(shape, dtype: ScalarType.Float32, generator: seed);
        var x = layout switch
        {
            "narrowed" => Draw(70).narrow(0, 3, 61),
            "transposed" => Draw(9, 13).transpose(0, 1),
            "channels last" => Draw(2, 5, 3, 7).permute(0, 3, 1, 2),
            "every second" => Draw(41, 2).select(1, 1),
            _ => Draw(7, 1).expand(7, 11),
        };
        Check(x);

        // A gradient that lies otherwise than the input.
        var turned = Draw([.. x.shape.Reverse()]).permute([.. Enumerable.Range(0, (int)x.dim()).Reverse().Select(d => (long)d)]);
        Check(x, turned);
        Check(x, ones([1], ScalarType.Float32).expand(x.shape));
    }

    [Fact]
    public void From_minus_200_to_200()
    {
        using var scope = NewDisposeScope();
        Check(linspace(-200, 200, 40_003, ScalarType.Float32));
    }

    [Fact]
    public void The_largest_numbers_give_themselves_or_nothing()
    {
        using var scope = NewDisposeScope();
        double[] numbers = [-3.4e38, -1e38, -1e30, -1e10, -1000, -89, 1000, 1e10, 1e38, 3.4e38, 0];
        var (y, slope) = Run(Values.Float([numbers.Length], numbers));
        var (values, slopes) = (Values.Of(y), Values.Of(slope));
        for (var k = 0; k < numbers.Length; k++)
        {
            values[k].Should().BeApproximately(numbers[k] < 0 ? 0 : (float)numbers[k], Smallest, "of {0}", numbers[k]);
            slopes[k].Should().BeApproximately(numbers[k] < 0 ? 0 : numbers[k] > 0 ? 1 : 0.5, Smallest, "of {0}", numbers[k]);
        }
    }

    [Fact]
    public void What_has_no_limit_is_no_number()
    {
        using var scope = NewDisposeScope();

        // Each alone, and within a vector of numbers.
        foreach (var around in new[] { 0, 40 })
        {
            foreach (var (input, value) in new[]
                { (double.NegativeInfinity, double.NaN), (double.PositiveInfinity, double.PositiveInfinity), (double.NaN, double.NaN) })
            {
                double[] numbers = [.. Enumerable.Repeat(1.0, around), input, .. Enumerable.Repeat(1.0, around)];
                var (y, slope) = Run(Values.Float([numbers.Length], numbers));
                var (values, slopes) = (Values.Of(y), Values.Of(slope));
                values[around].Should().Be(value, "silu of {0}", input);
                slopes[around].Should().Be(double.NaN, "the slope at {0}", input);
                values.Count(double.IsFinite).Should().Be(2 * around);
                slopes.Count(double.IsFinite).Should().Be(2 * around);
            }
        }
    }

    [Fact]
    public void What_is_no_number_stays_none_whatever_its_bits()
    {
        using var scope = NewDisposeScope();
        var x = NotNumbers.All();
        var (y, slope) = Run(x);
        y.isnan().all().item<bool>().Should().BeTrue();
        slope.isnan().all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void The_gradient_of_a_gradient_is_that_of_float64()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(3);
        var x = randn([3, 17], dtype: ScalarType.Float32, generator: seed);
        Tensor Second(Tensor input)
        {
            var leaf = input.detach().requires_grad_();
            var y = leaf.mul(2).silu().pow(3).sum();
            var first = autograd.grad([y], [leaf], retain_graph: true, create_graph: true)[0];
            return autograd.grad([first.square().sum()], [leaf])[0];
        }

        var expected = Second(x.to(ScalarType.Float64));
        Second(x).to(ScalarType.Float64).sub(expected).norm().item<double>().Should().BeLessThan(3e-6 * expected.norm().item<double>());
    }

    [Fact]
    public void An_input_that_was_changed_before_the_way_back_is_an_error()
    {
        using var scope = NewDisposeScope();
        var leaf = ones([5], ScalarType.Float32).requires_grad_();
        var x = leaf.mul(2);
        var y = x.silu();
        x.add_(1);
        FluentActions.Invoking(() => y.sum().backward()).Should().Throw<System.Runtime.InteropServices.ExternalException>().WithMessage("*inplace*");
    }

    [Fact]
    public void The_way_back_is_gone_twice_only_where_the_graph_is_kept()
    {
        using var scope = NewDisposeScope();
        var x = ones([5], ScalarType.Float32).requires_grad_();
        var y = x.silu().sum();
        var first = autograd.grad([y], [x], retain_graph: true)[0];
        y.backward();
        x.grad!.ShouldHold(Values.Of(first));
        FluentActions.Invoking(() => y.backward()).Should().Throw<System.Runtime.InteropServices.ExternalException>();
    }

    [Fact]
    public void Nothing_is_kept_where_no_gradient_is_wanted()
    {
        using var scope = NewDisposeScope();
        var x = ones([5], ScalarType.Float32).requires_grad_();
        using (no_grad())
            x.silu().requires_grad.Should().BeFalse();
        x.detach().silu().requires_grad.Should().BeFalse();
        x.silu().requires_grad.Should().BeTrue();
        zeros([0, 3], ScalarType.Float32).silu().ShouldHaveShape(0, 3);
        ones([], ScalarType.Float32).silu().ShouldBeNear(1e-6, 1 / (1 + Math.Exp(-1)));
    }

    [Fact]
    public void Is_the_same_bit_for_bit_with_any_number_of_threads()
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(5);
        var x = randn([100_003], dtype: ScalarType.Float32, generator: seed);
        var threads = get_num_threads();
        try
        {
            var runs = new[] { 1, 2 }.Select(count =>
            {
                set_num_threads(count);
                var (y, slope) = Run(x);
                return Values.Of(y).Concat(Values.Of(slope)).ToArray();
            }).ToArray();
            runs[1].Should().Equal(runs[0]);
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    private static (Tensor Value, Tensor Gradient) Run(Tensor x, Tensor? upstream = null)
    {
        var leaf = x.detach().requires_grad_();
        var y = leaf.silu();
        return (y, autograd.grad([y], [leaf], [upstream ?? ones_like(y)])[0]);
    }

    private static void Check(Tensor x, Tensor? upstream = null)
    {
        var (y, gradient) = Run(x, upstream);
        y.ShouldHaveShape(x.shape);
        var (inputs, values, gradients) = (Values.Of(x), Values.Of(y), Values.Of(gradient));
        var along = upstream is null ? null : Values.Of(upstream);
        for (var k = 0; k < inputs.Length; k++)
        {
            var sigmoid = 1 / (1 + Math.Exp(-inputs[k]));
            var (value, scale) = (inputs[k] * sigmoid, along?[k] ?? 1);
            var slope = sigmoid * (1 + (inputs[k] * (1 - sigmoid)));
            // The exponent x keeps its rounding, which is so much of e^-x.
            var tolerance = 4e-7 + (1e-7 * Math.Max(-inputs[k], 0));
            values[k].Should().BeApproximately(value, (tolerance * Math.Abs(value)) + Smallest, "of {0}", inputs[k]);

            // The slope is a sum that vanishes near -1.28, and 1 less the sigmoid keeps the rounding of one near 1.
            var terms = sigmoid * ((tolerance * (1 + Math.Abs(inputs[k] * (1 - sigmoid)))) + (1.2e-7 * Math.Abs(inputs[k])));
            gradients[k].Should().BeApproximately(scale * slope, Math.Abs(scale) * (terms + Smallest), "the slope at {0}", inputs[k]);
        }
    }
}
