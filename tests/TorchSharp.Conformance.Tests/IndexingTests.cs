using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Reading and writing parts of a tensor by index.</summary>
public class IndexingTests
{
    private static Tensor Grid() => arange(0, 24, ScalarType.Float32).view(2, 3, 4);

    [Fact]
    public void A_number_removes_its_dimension_and_shares_memory()
    {
        using var scope = NewDisposeScope();
        var x = Grid();

        x[1].ShouldHaveShape(3, 4);
        x[1, 2].ShouldHold(20, 21, 22, 23);
        x[1, 2, 3].ShouldHold(23);
        x[-1, -1, -1].ShouldHold(23);
        x.select(2, 1).ShouldHold(1, 5, 9, 13, 17, 21);
        x.select(-1, -1).ShouldHold(3, 7, 11, 15, 19, 23);
        x[1].fill_(0);
        x[1, 2, 3].ShouldHold(0);
    }

    [Fact]
    public void A_slice_keeps_its_dimension_and_shares_memory()
    {
        using var scope = NewDisposeScope();
        var x = Grid();

        x[TensorIndex.Colon, TensorIndex.Slice(1, 3), TensorIndex.Slice(0, 4, 2)].ShouldHold(4, 6, 8, 10, 16, 18, 20, 22);
        x[TensorIndex.Slice(1), 0].ShouldHaveShape(1, 4);
        x[TensorIndex.Slice(null, 1), 0].ShouldHold(0, 1, 2, 3);
        x[TensorIndex.Slice(-1), TensorIndex.Slice(-1), TensorIndex.Slice(-2)].ShouldHold(22, 23);
        x[.., 1..3, ..2].ShouldHold(4, 5, 8, 9, 16, 17, 20, 21);
        x[^1, ^1].ShouldHold(20, 21, 22, 23);
        x[.., 1..3].fill_(0);
        x[0].ShouldHold(0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0);
    }

    [Fact]
    public void A_slice_beyond_the_end_is_cut()
    {
        using var scope = NewDisposeScope();
        var x = Grid();
        x[TensorIndex.Slice(0, 100)].ShouldHaveShape(2, 3, 4);
        x[TensorIndex.Slice(2, 100)].ShouldHaveShape(0, 3, 4);
    }

    [Fact]
    public void The_ellipsis_stands_for_all_other_dimensions()
    {
        using var scope = NewDisposeScope();
        var x = Grid();
        x[TensorIndex.Ellipsis, 0].ShouldHold(0, 4, 8, 12, 16, 20);
        x[0, TensorIndex.Ellipsis].ShouldHaveShape(3, 4);
        x[0, TensorIndex.Ellipsis, 0].ShouldHold(0, 4, 8);
    }

    [Fact]
    public void None_adds_a_dimension_of_one()
    {
        using var scope = NewDisposeScope();
        var x = arange(0, 3, ScalarType.Float32);
        x[TensorIndex.None, TensorIndex.Ellipsis].ShouldHaveShape(1, 3);
        x[TensorIndex.Ellipsis, TensorIndex.None].ShouldHaveShape(3, 1);
    }

    [Fact]
    public void A_tensor_of_indices_copies()
    {
        using var scope = NewDisposeScope();
        var x = Grid();
        var rows = Values.Long([3], 1, 0, 1);

        var picked = x[TensorIndex.Tensor(rows)];
        picked.ShouldHaveShape(3, 3, 4);
        picked.fill_(-1);
        x[0, 0, 0].ShouldHold(0);
        x[TensorIndex.Tensor(rows), 0, 0].ShouldHold(12, 0, 12);
    }

    [Fact]
    public void A_mask_copies_what_it_marks()
    {
        using var scope = NewDisposeScope();
        var x = arange(0, 5, ScalarType.Float32);
        x[TensorIndex.Tensor(x.gt(2))].ShouldHold(3, 4);
    }

    [Fact]
    public void Assigning_writes_into_the_tensor()
    {
        using var scope = NewDisposeScope();
        var x = zeros([2, 3]);

        x[0] = ones([3]);
        x.ShouldHold(1, 1, 1, 0, 0, 0);
        x[1, 2] = tensor(5f);
        x.ShouldHold(1, 1, 1, 0, 0, 5);
        var deep = zeros([1, 1, 1, 2]);
        deep[0, 0, 0, 1] = tensor(5f);
        deep.ShouldHold(0, 5);
        x[TensorIndex.Ellipsis, 0] = tensor(7f);
        x.ShouldHold(7, 1, 1, 7, 0, 5);
        x[TensorIndex.Colon, TensorIndex.Slice(1)] = zeros([2, 2]);
        x.ShouldHold(7, 0, 0, 7, 0, 0);
        x[.., 1..2] = Values.Float([2, 1], 1, 2);
        x.ShouldHold(7, 1, 0, 7, 2, 0);
    }

    [Fact]
    public void Assigning_through_a_mask_or_indices_writes_where_they_point()
    {
        using var scope = NewDisposeScope();
        var x = arange(0, 5, ScalarType.Float32);

        x[TensorIndex.Tensor(x.lt(2))] = tensor(9f);
        x.ShouldHold(9, 9, 2, 3, 4);
        x[TensorIndex.Tensor(Values.Long([2], 4, 2))] = Values.Float([2], 1, 0);
        x.ShouldHold(9, 9, 0, 3, 1);
    }

    [Fact]
    public void Index_select_and_gather_pick_along_a_dimension()
    {
        using var scope = NewDisposeScope();
        var x = Grid()[0];

        x.index_select(0, Values.Long([2], 2, 0)).ShouldHold(8, 9, 10, 11, 0, 1, 2, 3);
        x.index_select(1, Values.Long([2], 3, 3)).ShouldHold(3, 3, 7, 7, 11, 11);
        x.gather(1, Values.Long([3, 1], 0, 1, 2)).ShouldHold(0, 5, 10);
        x.index_select(-1, Values.Long([1], 1)).ShouldHold(1, 5, 9);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(-4)]
    public void An_index_out_of_range_is_a_native_error(long index)
    {
        using var x = zeros([3]);
        using var at = Values.Long([1], index);

        ((Action)(() => x[index].Dispose())).Should().Throw<System.Runtime.InteropServices.ExternalException>();
        ((Action)(() => x.index_select(0, at))).Should().Throw<System.Runtime.InteropServices.ExternalException>();
    }
}
