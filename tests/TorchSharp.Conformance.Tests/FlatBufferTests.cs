using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>
/// All parameters of a model in one flat tensor and all gradients in another: <c>set_</c> repoints a parameter at a view of the flat
/// tensor, and a gradient set beforehand is accumulated into in place.
/// </summary>
public class FlatBufferTests
{
    private static void PointAt(Tensor parameter, Tensor flat, long offset)
    {
        using var piece = flat.narrow(0, offset, parameter.numel());
        using var shaped = piece.view(parameter.shape);
        using (no_grad())
            parameter.set_(shaped);
    }

    private static void PointGradientAt(Tensor parameter, Tensor flat, long offset)
    {
        using var piece = flat.narrow(0, offset, parameter.numel());
        using var shaped = piece.view(parameter.shape);
        parameter.grad = shaped;
    }

    [Fact]
    public void A_parameter_repointed_at_a_view_stays_a_leaf_of_the_same_object()
    {
        using var flat = arange(0, 10, ScalarType.Float32);
        using var parameter = nn.Parameter(zeros([2, 3]));

        using (no_grad())
        {
            using var piece = flat.narrow(0, 4, 6);
            using var shaped = piece.view(2, 3);
            parameter.set_(shaped).Should().BeSameAs(parameter);
        }

        parameter.requires_grad.Should().BeTrue();
        parameter.is_leaf.Should().BeTrue();
        parameter.ShouldHaveShape(2, 3);
        parameter.storage_offset().Should().Be(4);
        parameter.ShouldHold(4, 5, 6, 7, 8, 9);
    }

    [Fact]
    public void A_repointed_parameter_and_the_flat_tensor_share_memory_both_ways()
    {
        using var flat = zeros([5]);
        using var parameter = nn.Parameter(zeros([3]));
        PointAt(parameter, flat, 1);

        using (no_grad())
        {
            flat.fill_(2);
            parameter.ShouldHold(2, 2, 2);
            parameter.mul_(3);
        }

        flat.ShouldHold(2, 6, 6, 6, 2);
    }

    [Fact]
    public void A_repointed_parameter_outlives_the_flat_tensor_object()
    {
        var flat = ones([5]);
        using var parameter = nn.Parameter(zeros([3]));
        PointAt(parameter, flat, 1);

        flat.Dispose();

        parameter.ShouldHold(1, 1, 1);
    }

    [Fact]
    public void Gradients_accumulate_in_place_into_a_gradient_set_beforehand()
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
        using var seen = first.grad;
        seen!.ShouldHold(0, 0, 0);
        Backward(first, second);
        gradients.ShouldHold(2, 2, 2, 0, 3, 3, 3, 3);
    }

    [Fact]
    public void Gradients_accumulate_in_place_for_repointed_parameters_of_layers()
    {
        using var layer = nn.Linear(3, 2);
        var weight = layer.weight;
        var bias = layer.bias!;
        using var flat = zeros([8]);
        using var gradients = zeros([8]);
        using (no_grad())
        {
            using var weights = flat.narrow(0, 0, 6);
            using var rows = weights.view(2, 3);
            rows.copy_(weight);
        }

        PointAt(weight, flat, 0);
        PointAt(bias, flat, 6);
        PointGradientAt(weight, gradients, 0);
        PointGradientAt(bias, gradients, 6);
        using var x = tensor(new float[] { 1, 2, 3, 4, 5, 6 }, [2, 3]);

        for (var k = 1; k <= 3; k++)
        {
            using var y = layer.forward(x);
            using var sum = y.sum();
            sum.backward();
            gradients.ShouldHold(5 * k, 7 * k, 9 * k, 5 * k, 7 * k, 9 * k, 2 * k, 2 * k);
        }

        layer.weight.Should().BeSameAs(weight);
        using (no_grad())
            flat.fill_(0);
        using var zero = layer.forward(x);
        zero.ShouldHold(0, 0, 0, 0);
    }

    [Fact]
    public void Reading_a_gradient_makes_a_tensor_object_each_time()
    {
        using var gradients = zeros([3]);
        using var parameter = nn.Parameter(ones([3]));
        PointGradientAt(parameter, gradients, 0);

        var before = Tensor.TotalCount;
        var one = parameter.grad!;
        var two = parameter.grad!;

        one.Should().NotBeSameAs(two);
        (Tensor.TotalCount - before).Should().Be(2);
        one.Dispose();
        two.Dispose();
        (Tensor.TotalCount - before).Should().Be(0);
        Values.LiveTensors(() => Backward(parameter, parameter)).Should().Be(0);
    }

    [Fact]
    public void The_gradient_read_shares_memory_with_the_one_set()
    {
        using var gradients = zeros([3]);
        using var parameter = nn.Parameter(ones([3]));
        PointGradientAt(parameter, gradients, 0);

        using var read = parameter.grad!;
        read.fill_(7);

        gradients.ShouldHold(7, 7, 7);
    }

    [Fact]
    public void There_is_no_gradient_before_backward_and_none_after_it_is_set_to_null()
    {
        using var parameter = nn.Parameter(ones([3]));
        parameter.grad.Should().BeNull();

        Backward(parameter, parameter);
        using (var grad = parameter.grad)
            grad!.ShouldHold(5, 5, 5);
        parameter.grad = null;

        parameter.grad.Should().BeNull();
    }

    [Fact]
    public void Without_one_set_beforehand_each_backward_adds_to_a_gradient_of_its_own()
    {
        using var parameter = nn.Parameter(ones([3]));
        Backward(parameter, parameter);
        using var first = parameter.grad!;
        Backward(parameter, parameter);
        using var second = parameter.grad!;

        first.ShouldHold(10, 10, 10);
        second.ShouldHold(10, 10, 10);
    }

    [Fact]
    public void Operators_on_the_flat_tensor_reach_every_parameter()
    {
        using var flat = zeros([6]);
        using var gradients = ones([6]);
        using var first = nn.Parameter(ones([2]));
        using var second = nn.Parameter(ones([2, 2]));
        PointAt(first, flat, 0);
        PointAt(second, flat, 2);

        using (no_grad())
            flat.add_(gradients, alpha: -0.5);

        first.ShouldHold(-0.5, -0.5);
        second.ShouldHold(-0.5, -0.5, -0.5, -0.5);
    }

    private static void Backward(Tensor first, Tensor second)
    {
        using var scope = NewDisposeScope();
        first.mul(2).sum().add(second.mul(3).sum()).backward();
    }
}
