using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Shapes, strides and which operators share memory with their input.</summary>
public class ShapeTests
{
    private static Tensor Numbers(params long[] shape) => arange(0, shape.Aggregate(1L, (a, b) => a * b), ScalarType.Float32).view(shape);

    [Fact]
    public void Shape_strides_and_sizes()
    {
        using var scope = NewDisposeScope();
        var x = Numbers(2, 3, 4);

        x.shape.Should().Equal(2, 3, 4);
        x.size(1).Should().Be(3);
        x.size(-1).Should().Be(4);
        x.stride().Should().Equal(12, 4, 1);
        x.dim().Should().Be(3);
        x.ndim.Should().Be(3);
        x.numel().Should().Be(24);
        x.element_size().Should().Be(4);
        x.is_contiguous().Should().BeTrue();
    }

    [Fact]
    public void A_scalar_has_no_dimensions_and_one_element()
    {
        using var x = tensor(2.5);
        x.shape.Should().BeEmpty();
        x.dim().Should().Be(0);
        x.numel().Should().Be(1);
    }

    [Fact]
    public void Views_share_memory()
    {
        using var scope = NewDisposeScope();
        var x = zeros([2, 3]);

        foreach (var view in new[]
        {
            x.view(6), x.view(3, -1), x.reshape(6), x.permute(1, 0), x.transpose(0, 1), x.narrow(1, 0, 3), x.unsqueeze(0),
            x.unsqueeze(-1), x.expand(1, 2, 3), x.flatten(), x.detach(), x.squeeze(0), x[..], x[TensorIndex.Ellipsis], x.alias(),
        })
        {
            x.fill_(0);
            view.add_(1);
            Values.Of(x).Should().OnlyContain(v => v > 0);
        }
    }

    [Fact]
    public void Copies_do_not()
    {
        using var scope = NewDisposeScope();
        var x = zeros([2, 3]);

        foreach (var copy in new[]
        {
            x.clone(), x.to(ScalarType.Float64), x.transpose(0, 1).reshape(6), x.transpose(0, 1).contiguous(), cat([x, x]), stack([x, x]),
            x.repeat(2, 1), x.index_select(0, Values.Long([1], 0)), x.to(CPU, copy: true),
        })
        {
            copy.add_(1);
            Values.Of(x).Should().OnlyContain(v => v == 0);
        }
    }

    [Fact]
    public void Contiguous_of_a_contiguous_tensor_is_the_same_memory_in_a_new_object()
    {
        using var x = zeros([2, 3]);
        using var same = x.contiguous();

        same.Should().NotBeSameAs(x);
        same.fill_(1);
        x.ShouldHold(1, 1, 1, 1, 1, 1);
    }

    [Fact]
    public void Moving_to_the_device_and_type_it_has_is_the_same_memory_in_a_new_object()
    {
        using var x = zeros([2]);
        Func<Tensor>[] moves = [() => x.to(CPU), () => x.to(ScalarType.Float32), () => x.to(ScalarType.Float32, CPU), x.cpu];
        foreach (var move in moves)
        {
            using var same = move();
            same.Should().NotBeSameAs(x);
            same.fill_(1);
            x.ShouldHold(1, 1);
            x.fill_(0);
        }
    }

    [Fact]
    public void Permute_and_transpose_reorder_the_elements()
    {
        using var scope = NewDisposeScope();
        var x = Numbers(2, 3);

        x.permute(1, 0).ShouldHold(0, 3, 1, 4, 2, 5);
        x.t().ShouldHold(0, 3, 1, 4, 2, 5);
        x.transpose(-1, -2).ShouldHold(0, 3, 1, 4, 2, 5);
        x.permute(1, 0).stride().Should().Equal(1, 3);
        x.permute(1, 0).is_contiguous().Should().BeFalse();
        x.permute(1, 0).contiguous().stride().Should().Equal(2, 1);
        x.permute(1, 0).data<float>().ToArray().Should().Equal(0, 3, 1, 4, 2, 5);
    }

    [Fact]
    public void Channels_last_by_hand_keeps_the_shape_and_changes_the_strides()
    {
        using var scope = NewDisposeScope();
        var x = Numbers(2, 3, 4, 5);

        var last = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);

        last.shape.Should().Equal(2, 3, 4, 5);
        last.stride().Should().Equal(60, 1, 15, 3);
        last.is_contiguous().Should().BeFalse();
        Values.Of(last).Should().Equal(Values.Of(x));
    }

    [Fact]
    public void Expand_repeats_without_memory_and_repeat_with()
    {
        using var scope = NewDisposeScope();
        var x = Values.Float([2, 1], 1, 2);

        x.expand(2, 3).ShouldHold(1, 1, 1, 2, 2, 2);
        x.expand(-1, 3).ShouldHold(1, 1, 1, 2, 2, 2);
        x.expand(2, 3).stride().Should().Equal(1, 0);
        x.repeat(2, 2).ShouldHold(1, 1, 2, 2, 1, 1, 2, 2);
        x.repeat(2, 2).ShouldHaveShape(4, 2);
    }

    [Fact]
    public void Narrow_takes_a_range_of_a_dimension()
    {
        using var scope = NewDisposeScope();
        var x = Numbers(3, 4);

        x.narrow(0, 1, 2).ShouldHold(4, 5, 6, 7, 8, 9, 10, 11);
        x.narrow(1, 1, 2).ShouldHold(1, 2, 5, 6, 9, 10);
        x.narrow(-1, 3, 1).ShouldHaveShape(3, 1);
        x.narrow(0, 3, 0).ShouldHaveShape(0, 4);
        x.narrow(1, 1, 2).storage_offset().Should().Be(1);
    }

    [Fact]
    public void Squeeze_and_unsqueeze_move_dimensions_of_one()
    {
        using var scope = NewDisposeScope();
        var x = zeros([1, 3, 1]);

        x.squeeze().ShouldHaveShape(3);
        x.squeeze(0).ShouldHaveShape(3, 1);
        x.squeeze(1).ShouldHaveShape(1, 3, 1);
        x.squeeze(-1).ShouldHaveShape(1, 3);
        x.unsqueeze(1).ShouldHaveShape(1, 1, 3, 1);
        x.unsqueeze(-1).ShouldHaveShape(1, 3, 1, 1);
        x.flatten().ShouldHaveShape(3);
        zeros([2, 3, 4]).flatten(1).ShouldHaveShape(2, 12);
    }

    [Fact]
    public void Cat_and_stack_join()
    {
        using var scope = NewDisposeScope();
        var a = Values.Float([1, 2], 1, 2);
        var b = Values.Float([1, 2], 3, 4);

        cat([a, b]).ShouldHold(1, 2, 3, 4);
        cat([a, b]).ShouldHaveShape(2, 2);
        cat([a, b], 1).ShouldHaveShape(1, 4);
        cat([a, b], dim: -1).ShouldHaveShape(1, 4);
        stack([a, b]).ShouldHaveShape(2, 1, 2);
        stack([a, b], 1).ShouldHaveShape(1, 2, 2);
        stack([a, b], -1).ShouldHold(1, 3, 2, 4);
    }

    [Fact]
    public void Cat_takes_arrays_and_lists()
    {
        using var scope = NewDisposeScope();
        var a = Values.Float([1, 2], 1, 2);

        cat(new[] { a, a }, 0).ShouldHold(1, 2, 1, 2);
        cat(new List<Tensor> { a, a, a }, 1).ShouldHaveShape(1, 6);
        stack(new List<Tensor> { a, a }).ShouldHaveShape(2, 1, 2);
    }

    [Fact]
    public void Cat_of_one_tensor_is_a_new_object_of_the_same_memory_and_of_none_an_error()
    {
        using var scope = NewDisposeScope();
        var a = Values.Float([1, 2], 1, 2);
        foreach (var joined in new[] { cat([a]), cat(new[] { a }), cat(new List<Tensor> { a }, 1) })
        {
            joined.Should().NotBeSameAs(a);
            a.fill_(1);
            joined.fill_(0);
            a.ShouldHold(0, 0);
        }

        a.fill_(1);
        stack([a]).fill_(0);
        a.ShouldHold(1, 1);
        ((Action)(() => cat(new List<Tensor>()))).Should().Throw<ArgumentException>();
        ((Action)(() => cat(Array.Empty<Tensor>()))).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Chunk_and_split_share_memory_with_the_whole()
    {
        using var scope = NewDisposeScope();
        var x = Numbers(5, 2);

        x.chunk(2).Select(p => p.shape[0]).Should().Equal(3, 2);
        x.chunk(2, 1).Select(p => p.shape[1]).Should().Equal(1, 1);
        x.split(2).Select(p => p.shape[0]).Should().Equal(2, 2, 1);
        x.split([1, 4]).Select(p => p.shape[0]).Should().Equal(1, 4);
        x.split([1L, 1L], dim: 1)[1].ShouldHold(1, 3, 5, 7, 9);

        x.chunk(2)[1].fill_(0);
        x.ShouldHold(0, 1, 2, 3, 4, 5, 0, 0, 0, 0);
    }

    [Fact]
    public void Flip_and_roll_copy()
    {
        using var scope = NewDisposeScope();
        var x = Numbers(2, 3);

        x.flip(1).ShouldHold(2, 1, 0, 5, 4, 3);
        x.flip(0, 1).ShouldHold(5, 4, 3, 2, 1, 0);
    }
}
