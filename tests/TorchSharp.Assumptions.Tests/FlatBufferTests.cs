using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Parameters and gradients as views of one flat tensor each.</summary>
public class FlatBufferTests
{
    [Fact]
    public void Each_read_of_a_gradient_creates_an_object()
    {
        using var parameter = nn.Parameter(ones([3]));
        Backward(parameter, parameter);
        Tensor? first = null;
        Tensor? second = null;

        Values.LiveTensors(() => (first, second) = (parameter.grad, parameter.grad)).Should().Be(2);

        first.Should().NotBeSameAs(second);
        first!.fill_(7);
        second!.ShouldHold(7, 7, 7);
        first.Dispose();
        second!.Dispose();
    }

    [Fact]
    public void Backward_accumulates_in_place_into_a_gradient_that_is_a_view()
    {
        using var gradients = zeros([8]);
        using var first = nn.Parameter(ones([3]));
        using var second = nn.Parameter(ones([2, 2]));
        PointGradientAt(first, gradients, 0);
        PointGradientAt(second, gradients, 4);

        Backward(first, second);
        gradients.ShouldHold(2, 2, 2, 0, 3, 3, 3, 3);
        Backward(first, second);
        gradients.ShouldHold(4, 4, 4, 0, 6, 6, 6, 6);
        gradients.fill_(0);
        Backward(first, second);
        gradients.ShouldHold(2, 2, 2, 0, 3, 3, 3, 3);
    }

    [Fact]
    public void Set_makes_a_parameter_a_view_and_keeps_it_the_same_leaf()
    {
        using var layer = nn.Linear(2, 1, hasBias: false);
        var weight = layer.weight;
        using var flat = arange(0, 5, ScalarType.Float32);
        using (no_grad())
        {
            using var part = flat.narrow(0, 3, 2);
            using var shaped = part.view(1, 2);
            weight.set_(shaped).Should().BeSameAs(weight);
        }

        layer.weight.Should().BeSameAs(weight);
        weight.requires_grad.Should().BeTrue();
        weight.is_leaf.Should().BeTrue();
        weight.storage_offset().Should().Be(3);
        weight.ShouldHold(3, 4);
        flat.fill_(2);
        using var x = ones([1, 2]);
        using var y = layer.forward(x);
        y.ShouldHold(4);
        using (no_grad())
            weight.mul_(3);
        flat.ShouldHold(2, 2, 2, 6, 6);
    }

    [Fact]
    public void A_parameter_outlives_the_flat_tensor_object_that_it_is_a_view_of()
    {
        var flat = ones([5]);
        using var parameter = nn.Parameter(zeros([3]));
        using (no_grad())
        {
            using var part = flat.narrow(0, 1, 3);
            parameter.set_(part);
        }

        flat.Dispose();

        parameter.ShouldHold(1, 1, 1);
    }

    private static void PointGradientAt(Tensor parameter, Tensor flat, long offset)
    {
        using var part = flat.narrow(0, offset, parameter.numel());
        using var shaped = part.view(parameter.shape);
        parameter.grad = shaped;
    }

    private static void Backward(Tensor first, Tensor second)
    {
        using var scope = NewDisposeScope();
        first.mul(2).sum().add(second.mul(3).sum()).backward();
    }
}
