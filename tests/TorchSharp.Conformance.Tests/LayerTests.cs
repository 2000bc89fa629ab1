using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>The layers: shapes and first values of their parameters, and what they compute.</summary>
public class LayerTests
{
    [Fact]
    public void A_linear_layer()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Linear(3, 2);
        layer.weight.ShouldHaveShape(2, 3);
        layer.bias!.ShouldHaveShape(2);
        layer.named_parameters().Select(p => p.name).Should().Equal("weight", "bias");

        Set(layer.weight, 1, 2, 3, 4, 5, 6);
        Set(layer.bias!, 10, 20);

        layer.forward(Values.Float([2, 3], 1, 0, 0, 1, 1, 1)).ShouldHold(11, 24, 16, 35);
        layer.forward(zeros([4, 5, 3])).ShouldHaveShape(4, 5, 2);
        using var bare = nn.Linear(3, 2, hasBias: false);
        bare.bias.Should().BeNull();
        bare.named_parameters().Should().HaveCount(1);
    }

    [Fact]
    public void A_convolution()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Conv2d(1, 1, 3, padding: 1);
        layer.weight.ShouldHaveShape(1, 1, 3, 3);
        layer.bias!.ShouldHaveShape(1);
        Set(layer.weight, 0, 1, 0, 1, -4, 1, 0, 1, 0);
        Set(layer.bias!, 0.5);

        var y = layer.forward(Values.Float([1, 1, 2, 3], 1, 2, 3, 4, 5, 6));

        y.ShouldHaveShape(1, 1, 2, 3);
        y.ShouldHold(2.5, 1.5, -3.5, -9.5, -7.5, -15.5);
    }

    [Theory]
    [InlineData(3, 1, 1, 7, 7)]
    [InlineData(3, 2, 1, 7, 4)]
    [InlineData(3, 2, 0, 7, 3)]
    [InlineData(1, 1, 0, 7, 7)]
    [InlineData(4, 2, 1, 8, 4)]
    public void The_size_after_a_convolution(long kernel, long stride, long padding, long size, long expected)
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Conv2d(2, 3, kernel, stride: stride, padding: padding, bias: false);
        layer.bias.Should().BeNull();
        layer.forward(zeros([1, 2, size, size])).ShouldHaveShape(1, 3, expected, expected);
    }

    [Theory]
    [InlineData(3, 2, 1)]
    [InlineData(1, 1, 0)]
    public void Convolutions_of_one_and_three_dimensions(long kernel, long stride, long padding)
    {
        using var scope = NewDisposeScope();
        using var line = nn.Conv1d(2, 3, kernel, stride: stride, padding: padding);
        using var volume = nn.Conv3d(2, 3, kernel, stride: stride, padding: padding, bias: false);
        line.weight.ShouldHaveShape(3, 2, kernel);
        line.bias!.ShouldHaveShape(3);
        volume.weight.ShouldHaveShape(3, 2, kernel, kernel, kernel);
        volume.bias.Should().BeNull();
        ((Convolution)line).weight.Should().BeSameAs(line.weight);

        var (x, y) = (randn([2, 2, 7]), randn([2, 2, 7, 5, 4]));
        long Size(long size) => ((size + (2 * padding) - kernel) / stride) + 1;
        line.forward(x).ShouldHaveShape(2, 3, Size(7));
        volume.forward(y).ShouldHaveShape(2, 3, Size(7), Size(5), Size(4));
        line.forward(x).sub(nn.functional.conv1d(x, line.weight, line.bias, stride, padding)).abs().max().item<float>().Should().Be(0);
        ((Action)(() => line.forward(zeros([1, 3, 4])))).Should().Throw<ArgumentException>();
        ((Action)(() => volume.forward(zeros([1, 3, 4, 4, 4])))).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_convolution_checks_the_number_of_channels()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Conv2d(2, 3, 1);
        ((Action)(() => layer.forward(zeros([1, 3, 4, 4])))).Should().Throw<ArgumentException>();
        ((Action)(() => layer.forward(zeros([4, 4])))).Should().Throw<ArgumentException>();
        layer.forward(zeros([2, 4, 4])).ShouldHaveShape(3, 4, 4);
    }

    [Fact]
    public void A_group_norm()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.GroupNorm(2, 4, eps: 0.25);
        layer.weight.ShouldHaveShape(4);
        layer.bias!.ShouldHaveShape(4);
        layer.weight.requires_grad.Should().BeTrue();
        Set(layer.weight, 1, 2, 1, 1);
        Set(layer.bias!, 0, 10, 0, 0);

        // Groups (1, 3) and (5, 5): mean 2 and 5, variance 1 and 0, divided by sqrt(variance + 1/4).
        var y = layer.forward(Values.Float([1, 4, 1], 1, 3, 5, 5));

        var unit = 1 / Math.Sqrt(1.25);
        y.ShouldBeNear(1e-6, -unit, 10 + (2 * unit), 0, 0);
    }

    [Fact]
    public void A_group_norm_wants_three_dimensions()
    {
        using var layer = nn.GroupNorm(2, 4);
        using var x = zeros([1, 4]);
        ((Action)(() => layer.forward(x))).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_layer_norm_starts_as_the_plain_normalisation()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.LayerNorm(2, eps: 0.25);
        layer.named_parameters().Select(p => p.name).Should().Equal("weight", "bias");
        layer.weight.ShouldHold(1, 1);
        layer.bias!.ShouldHold(0, 0);
        Set(layer.weight, 1, 2);
        Set(layer.bias!, 0, 10);

        var y = layer.forward(Values.Float([2, 2], 1, 3, 5, 5));

        var unit = 1 / Math.Sqrt(1.25);
        y.ShouldBeNear(1e-6, -unit, 10 + (2 * unit), 0, 10);
        using var plain = nn.LayerNorm([2], elementwise_affine: false);
        plain.parameters().Should().BeEmpty();
        plain.forward(Values.Float([1, 2], 1, 3)).ShouldBeNear(1e-5, -1, 1);
    }

    [Fact]
    public void Gelu_in_both_forms()
    {
        using var scope = NewDisposeScope();
        var x = Values.Float([3], -1, 0, 2);

        nn.functional.gelu(x).ShouldBeNear(1e-6, -0.15865525, 0, 1.95449974);
        nn.functional.gelu(x, TorchSharp.Modules.GELU.Approximate.tanh).ShouldBeNear(1e-6, -0.15880801, 0, 1.95459769);
        x.gelu().ShouldBeNear(1e-6, -0.15865525, 0, 1.95449974);
        nn.GELU().forward(x).ShouldBeNear(1e-6, -0.15865525, 0, 1.95449974);
    }

    [Fact]
    public void An_embedding_looks_up_rows()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Embedding(3, 2);
        layer.named_parameters().Select(p => p.name).Should().Equal("weight");
        Set(layer.parameters().Single(), 1, 2, 3, 4, 5, 6);

        var y = layer.forward(Values.Long([2, 2], 2, 0, 1, 1));

        y.ShouldHaveShape(2, 2, 2);
        y.ShouldHold(5, 6, 1, 2, 3, 4, 3, 4);
        y.sum().backward();
        layer.parameters().Single().grad!.ShouldHold(1, 1, 2, 2, 1, 1);
    }

    [Fact]
    public void Modules_without_parameters()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([3], -1, 0, 2);
        using var silu = nn.SiLU();
        using var relu = nn.ReLU();

        silu.forward(x).ShouldBeNear(1e-15, -1 / (1 + Math.E), 0, 2 / (1 + Math.Exp(-2)));
        relu.forward(x).ShouldHold(0, 0, 2);
        x.ShouldHold(-1, 0, 2);
    }

    [Fact]
    public void Dropout_in_training_zeroes_and_scales()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Dropout(0.25);
        var y = Values.Of(layer.forward(ones([10000])));
        y.Should().OnlyContain(v => v == 0 || Math.Abs(v - (4.0 / 3)) < 1e-6);
        y.Count(v => v == 0).Should().BeInRange(2200, 2800);
    }

    [Fact]
    public void Dropout_in_evaluation_passes_its_input_on()
    {
        using var scope = NewDisposeScope();
        using var layer = nn.Dropout(0.25);
        layer.eval();
        var x = Values.Float([3], 1, 2, 3);
        var y = layer.forward(x);
        y.ShouldHold(1, 2, 3);
        y.Should().NotBeSameAs(x);
        y.fill_(0);
        x.ShouldHold(0, 0, 0);
    }

    [Fact]
    public void A_module_takes_a_type_for_its_parameters()
    {
        using var layer = nn.Linear(2, 2, dtype: ScalarType.Float64);
        using var conv = nn.Conv2d(1, 1, 1, dtype: ScalarType.Float64, device: CPU);
        layer.weight.dtype.Should().Be(ScalarType.Float64);
        conv.weight.dtype.Should().Be(ScalarType.Float64);
    }

    [Fact]
    public void Modules_of_two_and_three_inputs()
    {
        using var scope = NewDisposeScope();
        using var two = new Two();
        using var three = new Three();
        two.call(ones([1]), ones([1])).ShouldHold(2);
        three.call(ones([1]), ones([1]), ones([1])).ShouldHold(3);
        three.forward(ones([1]), ones([1]), ones([1])).ShouldHold(3);
    }

    private static void Set(Parameter parameter, params double[] values)
    {
        using var guard = no_grad();
        using var source = Values.Make(parameter.dtype, parameter.shape, values);
        parameter.copy_(source);
    }

    private sealed class Two() : nn.Module<Tensor, Tensor, Tensor>(nameof(Two))
    {
        public override Tensor forward(Tensor input1, Tensor input2) => input1.add(input2);
    }

    private sealed class Three() : nn.Module<Tensor, Tensor, Tensor, Tensor>(nameof(Three))
    {
        public override Tensor forward(Tensor input1, Tensor input2, Tensor input3)
        {
            using var two = input1.add(input2);
            return two.add(input3);
        }
    }
}
