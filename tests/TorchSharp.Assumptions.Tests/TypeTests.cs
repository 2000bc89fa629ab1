using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Operands of two types.</summary>
public class TypeTests
{
    [Theory]
    [InlineData(ScalarType.BFloat16, ScalarType.Float32, ScalarType.Float32)]
    [InlineData(ScalarType.Float16, ScalarType.Float32, ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16, ScalarType.Float16, ScalarType.Float32)]
    [InlineData(ScalarType.Float32, ScalarType.Float64, ScalarType.Float64)]
    public void Element_wise_operators_promote(ScalarType first, ScalarType second, ScalarType expected)
    {
        using var scope = NewDisposeScope();

        ones([2], first).add(ones([2], second)).dtype.Should().Be(expected);
        ones([2], second).mul(ones([2], first)).dtype.Should().Be(expected);
    }

    [Fact]
    public void Linear_maps_and_convolutions_throw()
    {
        using var scope = NewDisposeScope();
        var (rows, weight) = (ones([2, 2], ScalarType.BFloat16), ones([2, 2]));
        var (image, kernel) = (ones([1, 1, 4, 4], ScalarType.BFloat16), ones([1, 1, 3, 3]));

        FluentActions.Invoking(() => nn.functional.linear(rows, weight)).Should().Throw<ExternalException>();
        FluentActions.Invoking(() => nn.functional.conv2d(image, kernel)).Should().Throw<ExternalException>();
    }
}
