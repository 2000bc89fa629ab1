using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Element types: conversion, promotion, and what a number is turned into.</summary>
public class TypeTests
{
    [Theory]
    [InlineData(ScalarType.Byte, 1, false)]
    [InlineData(ScalarType.Int8, 1, false)]
    [InlineData(ScalarType.Int16, 2, false)]
    [InlineData(ScalarType.Int32, 4, false)]
    [InlineData(ScalarType.Int64, 8, false)]
    [InlineData(ScalarType.Bool, 1, false)]
    [InlineData(ScalarType.Float16, 2, true)]
    [InlineData(ScalarType.BFloat16, 2, true)]
    [InlineData(ScalarType.Float32, 4, true)]
    [InlineData(ScalarType.Float64, 8, true)]
    public void Sizes_and_kinds(ScalarType type, long size, bool floating)
    {
        using var x = zeros([2], type);
        x.dtype.Should().Be(type);
        x.element_size().Should().Be(size);
        x.is_floating_point().Should().Be(floating);
        x.bytes.Length.Should().Be((int)(2 * size));
    }

    [Theory]
    [InlineData(ScalarType.Byte, 0)]
    [InlineData(ScalarType.Int8, 1)]
    [InlineData(ScalarType.Int16, 2)]
    [InlineData(ScalarType.Int32, 3)]
    [InlineData(ScalarType.Int64, 4)]
    [InlineData(ScalarType.Float16, 5)]
    [InlineData(ScalarType.Float32, 6)]
    [InlineData(ScalarType.Float64, 7)]
    [InlineData(ScalarType.Bool, 11)]
    [InlineData(ScalarType.BFloat16, 15)]
    public void The_numbers_behind_the_names(ScalarType type, int number) => ((int)type).Should().Be(number);

    [Theory]
    [InlineData(ScalarType.Int32, ScalarType.Int64, ScalarType.Int64)]
    [InlineData(ScalarType.Int64, ScalarType.Float32, ScalarType.Float32)]
    [InlineData(ScalarType.Float32, ScalarType.Float64, ScalarType.Float64)]
    [InlineData(ScalarType.Float16, ScalarType.Float32, ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16, ScalarType.Float32, ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16, ScalarType.Float16, ScalarType.Float32)]
    [InlineData(ScalarType.Bool, ScalarType.Int64, ScalarType.Int64)]
    public void Two_tensors_meet_in_the_wider_type(ScalarType first, ScalarType second, ScalarType expected)
    {
        using var scope = NewDisposeScope();
        ones([2], first).add(ones([2], second)).dtype.Should().Be(expected);
        ones([2], second).mul(ones([2], first)).dtype.Should().Be(expected);
    }

    [Fact]
    public void A_tensor_without_dimensions_does_not_widen_within_its_kind()
    {
        using var scope = NewDisposeScope();
        ones([2]).mul(tensor(2.0)).dtype.Should().Be(ScalarType.Float32);
        ones([2], ScalarType.Int32).mul(tensor(2L)).dtype.Should().Be(ScalarType.Int32);
        ones([2], ScalarType.Int64).mul(tensor(2.0)).dtype.Should().Be(ScalarType.Float64);
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void A_number_leaves_a_floating_point_tensor_its_type(ScalarType type)
    {
        using var scope = NewDisposeScope();
        ones([2], type).mul(0.5).dtype.Should().Be(type);
        ones([2], type).add(1).dtype.Should().Be(type);
        ones([2], type).add(1L).dtype.Should().Be(type);
        ones([2], type).div(2f).dtype.Should().Be(type);
    }

    [Fact]
    public void A_fraction_makes_an_integer_tensor_single_precision()
    {
        using var scope = NewDisposeScope();
        var x = Values.Long([2], 3, 4);

        x.mul(0.5).dtype.Should().Be(ScalarType.Float32);
        x.mul(0.5).ShouldHold(1.5, 2);
        x.add(1).dtype.Should().Be(ScalarType.Int64);
        x.div(2).dtype.Should().Be(ScalarType.Float32);
        x.div(2).ShouldHold(1.5, 2);
        x.div(x).dtype.Should().Be(ScalarType.Float32);
        x.sqrt().dtype.Should().Be(ScalarType.Float32);
    }

    [Fact]
    public void A_double_number_keeps_its_digits_in_a_double_tensor()
    {
        using var scope = NewDisposeScope();
        zeros([1], ScalarType.Float64).add(0.1).ShouldHold(0.1);
        zeros([1], ScalarType.Float64).fill_(1e-300).ShouldHold(1e-300);
        zeros([1], ScalarType.Int64).add(long.MaxValue).item<long>().Should().Be(long.MaxValue);
    }

    [Theory]
    [InlineData(1.0 / 3, 0.333251953125, 0.333984375)]
    [InlineData(65504.0, 65504.0, 65536.0)]
    [InlineData(1e6, double.PositiveInfinity, 999424.0)]
    [InlineData(1.00390625, 1.00390625, 1.0)]
    public void Half_precisions_round_to_nearest_even(double value, double half, double brain)
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { value }, dtype: ScalarType.Float32);
        x.to(ScalarType.Float16).ShouldHold(half);
        x.to(ScalarType.BFloat16).ShouldHold(brain);
    }

    [Fact]
    public void To_an_integer_drops_the_fraction_and_to_boolean_asks_for_zero()
    {
        using var scope = NewDisposeScope();
        var x = Values.Float([4], -1.9, -0.5, 0, 2.9);
        x.to(ScalarType.Int64).ShouldHold(-1, 0, 0, 2);
        x.to(ScalarType.Bool).ShouldHold(1, 1, 0, 1);
        Values.Float([2], 0, 255).to(ScalarType.Byte).ShouldHold(0, 255);
    }

    [Fact]
    public void Conversion_carries_gradients()
    {
        using var scope = NewDisposeScope();
        var x = ones([2]).requires_grad_();
        x.to(ScalarType.Float64).mul(3).sum().backward();
        x.grad!.dtype.Should().Be(ScalarType.Float32);
        x.grad!.ShouldHold(3, 3);
    }
}
