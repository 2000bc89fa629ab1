using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Getting numbers into tensors and out of them.</summary>
public class ValueAccessTests
{
    [Fact]
    public void An_item_is_read_in_the_tensors_own_type()
    {
        using var scope = NewDisposeScope();
        ones([1], ScalarType.Float32).item<float>().Should().Be(1f);
        ones([1, 1], ScalarType.Float64).item<double>().Should().Be(1.0);
        ones([1], ScalarType.Int64).item<long>().Should().Be(1L);
        ones([1], ScalarType.Int32).item<int>().Should().Be(1);
        ones([1], ScalarType.Byte).item<byte>().Should().Be(1);
        ones([1], ScalarType.Bool).item<bool>().Should().BeTrue();
        tensor(2.5).item<double>().Should().Be(2.5);
        ones([1], ScalarType.Float16).item<Half>().Should().Be((Half)1);
    }

    [Fact]
    public void Another_type_is_refused()
    {
        using var x = ones([1]);
        ((Action)(() => x.item<double>())).Should().Throw<ArgumentException>();
        ((Action)(() => x.data<double>())).Should().Throw<ArgumentException>();
        ((Action)(() => x.data<int>())).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void An_item_of_several_elements_or_none_is_refused()
    {
        using var two = ones([2]);
        using var none = ones([0]);
        ((Action)(() => two.item<float>())).Should().Throw<ArgumentException>();
        ((Action)(() => none.item<float>())).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Data_is_read_in_row_major_order_whatever_the_strides()
    {
        using var scope = NewDisposeScope();
        var x = arange(0, 6, ScalarType.Int64).view(2, 3);

        x.data<long>().ToArray().Should().Equal(0, 1, 2, 3, 4, 5);
        x.transpose(0, 1).data<long>().ToArray().Should().Equal(0, 3, 1, 4, 2, 5);
        x.narrow(1, 1, 2).data<long>().ToArray().Should().Equal(1, 2, 4, 5);
        x[1].data<long>().ToArray().Should().Equal(3, 4, 5);
        x.expand(2, 2, 3).data<long>().ToArray().Should().Equal(0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5);
        tensor(7L).data<long>().ToArray().Should().Equal(7L);
        zeros([0], ScalarType.Int64).data<long>().ToArray().Should().BeEmpty();
        x.data<long>().Count.Should().Be(6);
        x.gt(3).data<bool>().ToArray().Should().Equal(false, false, false, false, true, true);
        x.transpose(0, 1).data<long>().Should().Equal(0, 3, 1, 4, 2, 5);
    }

    [Fact]
    public void Bytes_are_the_memory_itself_little_endian()
    {
        using var x = Values.Make(ScalarType.Int32, [2], 1, 258);

        x.bytes.ToArray().Should().Equal(1, 0, 0, 0, 2, 1, 0, 0);
        x.bytes[0] = 7;
        x.ShouldHold(7, 258);
        x.bytes = new byte[] { 0, 1, 0, 0, 5, 0, 0, 0 };
        x.ShouldHold(256, 5);
    }

    [Fact]
    public void Bytes_of_half_precision()
    {
        using var scope = NewDisposeScope();
        ones([1], ScalarType.Float16).bytes.ToArray().Should().Equal(0x00, 0x3c);
        ones([1], ScalarType.BFloat16).bytes.ToArray().Should().Equal(0x80, 0x3f);
        var x = zeros([1], ScalarType.BFloat16);
        x.bytes = new byte[] { 0x40, 0x40 };
        x.ShouldHold(3);
    }

    [Fact]
    public void Bytes_start_at_the_views_own_first_element()
    {
        using var scope = NewDisposeScope();
        Values.Make(ScalarType.Byte, [4], 1, 2, 3, 4).narrow(0, 1, 2).bytes.ToArray().Should().Equal(2, 3);
    }

    [Fact]
    public void Bytes_refuse_strides_and_wrong_sizes()
    {
        using var scope = NewDisposeScope();
        var x = zeros([2, 3]);
        var turned = x.transpose(0, 1);

        ((Action)(() => _ = turned.bytes.Length)).Should().Throw<InvalidOperationException>();
        ((Action)(() => turned.bytes = new byte[24])).Should().Throw<InvalidOperationException>();
        ((Action)(() => x.bytes = new byte[23])).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void The_array_a_tensor_is_made_from_stays_the_callers()
    {
        var source = new float[] { 1, 2, 3 };
        using var x = tensor(source);
        source[0] = 9;
        x.ShouldHold(1, 2, 3);
        x.fill_(0);
        source.Should().Equal(9, 2, 3);
    }

    [Fact]
    public void The_type_of_a_tensor_follows_its_source_unless_one_is_given()
    {
        using var scope = NewDisposeScope();
        tensor(new float[] { 1 }).dtype.Should().Be(ScalarType.Float32);
        tensor(new double[] { 1 }).dtype.Should().Be(ScalarType.Float64);
        tensor(new long[] { 1 }).dtype.Should().Be(ScalarType.Int64);
        tensor(new int[] { 1 }).dtype.Should().Be(ScalarType.Int32);
        tensor(new byte[] { 1 }).dtype.Should().Be(ScalarType.Byte);
        tensor(new[] { true, false }).dtype.Should().Be(ScalarType.Bool);
        tensor(1f).dtype.Should().Be(ScalarType.Float32);
        tensor(1.0).dtype.Should().Be(ScalarType.Float64);
        tensor(1L).dtype.Should().Be(ScalarType.Int64);

        tensor(new double[] { 1.5 }, dtype: ScalarType.Float32).dtype.Should().Be(ScalarType.Float32);
        tensor(new byte[] { 200 }, dtype: ScalarType.Float32).ShouldHold(200);
        tensor(new long[] { 3 }, dtype: ScalarType.Float64, device: CPU).dtype.Should().Be(ScalarType.Float64);
        tensor(2.5, dtype: ScalarType.Float32).dtype.Should().Be(ScalarType.Float32);
    }

    [Fact]
    public void A_tensor_takes_the_given_dimensions()
    {
        using var scope = NewDisposeScope();
        var x = tensor(new float[] { 1, 2, 3, 4, 5, 6 }, [2, 3]);
        x.ShouldHaveShape(2, 3);
        x[1].ShouldHold(4, 5, 6);
        tensor(new double[,] { { 1, 2 }, { 3, 4 } }).ShouldHaveShape(2, 2);
        tensor(new double[,] { { 1, 2 }, { 3, 4 } }).ShouldHold(1, 2, 3, 4);
        tensor(Array.Empty<float>()).ShouldHaveShape(0);
    }
}
