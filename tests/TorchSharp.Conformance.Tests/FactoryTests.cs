using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>New tensors and what they hold.</summary>
public class FactoryTests
{
    [Fact]
    public void Zeros_ones_and_full_are_single_precision_on_the_cpu_unless_said_otherwise()
    {
        using var scope = NewDisposeScope();
        foreach (var x in new[] { zeros([2, 3]), ones([2, 3]), full([2, 3], 1.5), empty([2, 3]), rand([2, 3]), randn([2, 3]) })
        {
            x.ShouldHaveShape(2, 3);
            x.dtype.Should().Be(ScalarType.Float32);
            x.device.type.Should().Be(DeviceType.CPU);
            x.requires_grad.Should().BeFalse();
            x.is_contiguous().Should().BeTrue();
        }

        zeros([2]).ShouldHold(0, 0);
        ones([2]).ShouldHold(1, 1);
        full([2], 1.5).ShouldHold(1.5, 1.5);
        full([2], 1).dtype.Should().Be(ScalarType.Int64, "the number decides the type of full");
        full([2], 1.0).dtype.Should().Be(ScalarType.Float32);
    }

    [Fact]
    public void A_type_and_a_device_can_be_given()
    {
        using var scope = NewDisposeScope();
        zeros([1], ScalarType.Int64, CPU).dtype.Should().Be(ScalarType.Int64);
        ones([1], dtype: ScalarType.Float64, device: CPU).dtype.Should().Be(ScalarType.Float64);
        full([1], 2, dtype: ScalarType.Int64).ShouldHold(2);
        empty([1], dtype: ScalarType.BFloat16).dtype.Should().Be(ScalarType.BFloat16);
        zeros([]).ShouldHaveShape();
        zeros([0, 3]).numel().Should().Be(0);
    }

    [Fact]
    public void Sizes_may_be_given_one_by_one_or_as_an_array()
    {
        using var scope = NewDisposeScope();
        zeros(2).ShouldHaveShape(2);
        zeros(2, 3).ShouldHaveShape(2, 3);
        zeros(2, 3, 4).ShouldHaveShape(2, 3, 4);
        zeros(2, 3, 4, 5).ShouldHaveShape(2, 3, 4, 5);
        ones(2).ShouldHaveShape(2);
        ones(2, 3).ShouldHaveShape(2, 3);
        ones(2, 3, 4).ShouldHaveShape(2, 3, 4);
        ones(2, 3, 4, 5).ShouldHaveShape(2, 3, 4, 5);
        empty(2, 3).ShouldHaveShape(2, 3);
        empty(2, 3, 4).ShouldHaveShape(2, 3, 4);
        rand(2).ShouldHaveShape(2);
        randn(2).ShouldHaveShape(2);
        randn(2, 3).ShouldHaveShape(2, 3);
        randn(2, 3, 4).ShouldHaveShape(2, 3, 4);
        randn(2, 3, 4, 5).ShouldHaveShape(2, 3, 4, 5);

        long[] shape = [2, 3];
        Tensor[] all = [zeros(shape), ones(shape), empty(shape), rand(shape), randn(shape), full(shape, 1.5), randint(0L, 9L, shape)];
        foreach (var x in all)
            x.ShouldHaveShape(2, 3);
    }

    [Fact]
    public void Arange_counts_up_to_but_not_including_the_stop()
    {
        using var scope = NewDisposeScope();
        arange(5).ShouldHold(0, 1, 2, 3, 4);
        arange(5).dtype.Should().Be(ScalarType.Int64);
        arange(5, ScalarType.Float32).dtype.Should().Be(ScalarType.Float32);
        arange(2, 5).ShouldHold(2, 3, 4);
        arange(2, 5).dtype.Should().Be(ScalarType.Int64);
        arange(0, 1, 0.25).ShouldHold(0, 0.25, 0.5, 0.75);
        arange(0, 1, 0.25).dtype.Should().Be(ScalarType.Float32);
        arange(0, 3, ScalarType.Float64).dtype.Should().Be(ScalarType.Float64);
    }

    [Fact]
    public void Linspace_includes_both_ends()
    {
        using var scope = NewDisposeScope();
        linspace(-1, 1, 5, ScalarType.Float64).ShouldHold(-1, -0.5, 0, 0.5, 1);
        linspace(0, 1, 3).dtype.Should().Be(ScalarType.Float32);
    }

    [Fact]
    public void Eye_has_ones_on_its_diagonal()
    {
        using var x = eye(2);
        x.ShouldHold(1, 0, 0, 1);
    }

    [Fact]
    public void The_like_of_a_tensor_has_its_shape_type_and_device_but_not_its_gradient()
    {
        using var scope = NewDisposeScope();
        var like = Values.Double([2, 3], 1, 2, 3, 4, 5, 6).requires_grad_();

        Tensor[] all = [zeros_like(like), ones_like(like), empty_like(like), full_like(like, 4), rand_like(like), randn_like(like)];
        foreach (var x in all)
        {
            x.ShouldHaveShape(2, 3);
            x.dtype.Should().Be(ScalarType.Float64);
            x.requires_grad.Should().BeFalse();
        }

        zeros_like(like)[0].ShouldHold(0, 0, 0);
        ones_like(like)[0].ShouldHold(1, 1, 1);
        full_like(like, 4)[0].ShouldHold(4, 4, 4);
    }

    [Fact]
    public void A_leaf_can_be_asked_for_at_once()
    {
        using var x = ones([2], requires_grad: true);
        x.requires_grad.Should().BeTrue();
        x.is_leaf.Should().BeTrue();
    }
}
