using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Operators that reduce dimensions.</summary>
public class ReductionTests
{
    private static Tensor Grid() => Values.Double([2, 3], 1, 2, 6, 4, 8, 9);

    [Fact]
    public void Over_everything()
    {
        using var scope = NewDisposeScope();
        var x = Grid();

        x.sum().ShouldHold(30);
        x.sum().ShouldHaveShape();
        x.mean().ShouldHold(5);
        x.max().ShouldHold(9);
        x.min().ShouldHold(1);
        x.argmax().ShouldHold(5);
        x.argmax().dtype.Should().Be(ScalarType.Int64);
        x.norm().ShouldBeNear(1e-15, Math.Sqrt(202));
        x.std().ShouldBeNear(1e-15, Math.Sqrt(52.0 / 5));
        x.std(unbiased: false).ShouldBeNear(1e-15, Math.Sqrt(52.0 / 6));
    }

    [Theory]
    [InlineData(0, false, new long[] { 3 }, new double[] { 5, 10, 15 })]
    [InlineData(0, true, new long[] { 1, 3 }, new double[] { 5, 10, 15 })]
    [InlineData(1, false, new long[] { 2 }, new double[] { 9, 21 })]
    [InlineData(-1, true, new long[] { 2, 1 }, new double[] { 9, 21 })]
    public void Sum_and_mean_over_one_dimension(long dim, bool keep, long[] shape, double[] expected)
    {
        using var scope = NewDisposeScope();
        var x = Grid();
        var count = 6.0 / expected.Length;

        x.sum(dim, keepdim: keep).ShouldHaveShape(shape);
        x.sum(dim, keepdim: keep).ShouldHold(expected);
        x.sum([dim], keepdim: keep).ShouldHold(expected);
        x.mean([dim], keepdim: keep).ShouldHaveShape(shape);
        x.mean([dim], keepdim: keep).ShouldBeNear(1e-15, [.. expected.Select(v => v / count)]);
    }

    [Fact]
    public void Over_several_dimensions()
    {
        using var scope = NewDisposeScope();
        var x = arange(0, 24, ScalarType.Float64).view(2, 3, 4);

        x.mean([1L, 2L]).ShouldHold(5.5, 17.5);
        x.mean([1L, 2L], keepdim: true).ShouldHaveShape(2, 1, 1);
        x.sum([0L, 2L]).ShouldHold(60, 92, 124);
        x.var([1L, 2L], unbiased: false).ShouldBeNear(1e-15, 143.0 / 12, 143.0 / 12);
        x.amax([1L, 2L]).ShouldHold(11, 23);
        x.amin([1L, 2L]).ShouldHold(0, 12);
    }

    [Fact]
    public void Max_and_min_over_a_dimension_say_where()
    {
        using var scope = NewDisposeScope();
        var x = Grid();

        var (values, indices) = x.max(1);
        values.ShouldHold(6, 9);
        indices.ShouldHold(2, 2);
        x.min(0).values.ShouldHold(1, 2, 6);
        x.min(0).indexes.ShouldHold(0, 0, 0);
        x.argmax(1).ShouldHold(2, 2);
        x.argmax(0, keepdim: true).ShouldHaveShape(1, 3);
    }

    [Fact]
    public void The_norm_over_a_dimension()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([2, 2], 3, 4, -6, 8);

        x.norm(1).ShouldBeNear(1e-15, 5, 10);
        x.norm(1, keepdim: true).ShouldHaveShape(2, 1);
        x.norm(0, p: 1f).ShouldBeNear(1e-15, 9, 12);
        x.norm(0, p: float.PositiveInfinity).ShouldHold(6, 8);
    }

    [Fact]
    public void The_largest_values_in_order()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([2, 4], 1, 4, 2, 3, 8, 5, 7, 6);

        var (values, indices) = x.topk(2);
        values.ShouldHold(4, 3, 8, 7);
        indices.ShouldHold(1, 3, 0, 2);
        indices.dtype.Should().Be(ScalarType.Int64);
        x.topk(1, dim: 0).values.ShouldHold(8, 5, 7, 6);
        x.topk(2, dim: -1, largest: false, sorted: true).values.ShouldHold(1, 2, 5, 6);
    }

    [Fact]
    public void Deviation_over_a_dimension_is_unbiased_unless_said_otherwise()
    {
        using var scope = NewDisposeScope();
        var x = Grid();

        x.std(1).ShouldBeNear(1e-14, Math.Sqrt(7), Math.Sqrt(7));
        x.std(1, unbiased: false, keepdim: true).ShouldHaveShape(2, 1);
        x.var(0).ShouldBeNear(1e-14, 4.5, 18, 4.5);
        x.std([1L], unbiased: true).ShouldBeNear(1e-14, Math.Sqrt(7), Math.Sqrt(7));
    }

    [Fact]
    public void Cumulative_sum()
    {
        using var x = Grid();
        using var y = x.cumsum(1);
        y.ShouldHold(1, 3, 9, 4, 12, 21);
    }

    [Fact]
    public void Integers_sum_as_integers_and_booleans_count()
    {
        using var scope = NewDisposeScope();
        var x = Values.Make(ScalarType.Int32, [3], 1, 2, 3);

        x.sum().dtype.Should().Be(ScalarType.Int64);
        x.gt(1).sum().ShouldHold(2);
        x.gt(1).sum().dtype.Should().Be(ScalarType.Int64);
    }

    [Fact]
    public void A_sum_can_be_taken_in_another_type()
    {
        using var scope = NewDisposeScope();
        var x = Values.Float([3], 1, 2, 3);
        x.sum(ScalarType.Float64).dtype.Should().Be(ScalarType.Float64);
        x.mean([0L], type: ScalarType.Float64).dtype.Should().Be(ScalarType.Float64);
    }

    [Fact]
    public void The_mean_of_integers_is_refused()
    {
        using var x = Values.Long([2], 1, 2);
        ((Action)(() => x.mean())).Should().Throw<System.Runtime.InteropServices.ExternalException>();
    }

    [Fact]
    public void Softmax_over_a_dimension()
    {
        using var scope = NewDisposeScope();
        var x = Values.Double([2, 2], 0, 1, 2, 2);
        var e = Math.E;

        x.softmax(-1).ShouldBeNear(1e-15, 1 / (1 + e), e / (1 + e), 0.5, 0.5);
        x.softmax(1).ShouldBeNear(1e-15, 1 / (1 + e), e / (1 + e), 0.5, 0.5);
    }

    [Fact]
    public void Matrix_products()
    {
        using var scope = NewDisposeScope();
        var a = Values.Double([2, 3], 1, 2, 3, 4, 5, 6);
        var b = Values.Double([3, 2], 1, 0, 0, 1, 1, 1);

        a.matmul(b).ShouldHold(4, 5, 10, 11);
        a.unsqueeze(0).bmm(b.unsqueeze(0)).ShouldHold(4, 5, 10, 11);
        a.mm(b).ShouldHold(4, 5, 10, 11);
        a.mm(a.t()).ShouldHold(14, 32, 32, 77);
        a.matmul(Values.Double([3], 1, 1, 1)).ShouldHold(6, 15);
        a.expand(4, 2, 3).matmul(b).ShouldHaveShape(4, 2, 2);
    }

    [Fact]
    public void An_empty_sum_is_zero_and_an_empty_mean_not_a_number()
    {
        using var scope = NewDisposeScope();
        var x = zeros([0]);
        x.sum().ShouldHold(0);
        Values.Of(x.mean())[0].Should().Be(double.NaN);
    }
}
