using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

public sealed class LinearPairTests
{
    [Theory]
    [InlineData(2.0, -3.0)]
    [InlineData(0.0, 0.5)]
    [InlineData(0.5, 0.0)]
    [InlineData(0.0, 0.0)]
    public void Tensors_and_numbers_are_combined_alike(double first, double second)
    {
        using var a = TestTensors.Values(1.0, -2.5);
        using var b = TestTensors.Values(0.25, 4.0);
        var pair = new LinearPair(first, second);

        using var result = pair.Apply(a, b);

        result.data<double>().ToArray().Should().Equal(pair.Apply(1.0, 0.25), pair.Apply(-2.5, 4.0));
        a.data<double>().ToArray().Should().Equal(1.0, -2.5);
        b.data<double>().ToArray().Should().Equal(0.25, 4.0);
    }

    [Fact]
    public void An_operand_that_does_not_count_is_not_read()
    {
        using var number = TestTensors.Values(1.0);
        using var nothing = TestTensors.Values(double.NaN);

        using var first = new LinearPair(2.0, 0.0).Apply(number, nothing);
        using var second = new LinearPair(0.0, 2.0).Apply(nothing, number);

        first.item<double>().Should().Be(2.0);
        second.item<double>().Should().Be(2.0);
    }

    [Fact]
    public void Operands_of_two_shapes_or_types_are_refused()
    {
        using var two = TestTensors.Values(1.0, 2.0);
        using var one = TestTensors.Values(1.0);
        using var single = torch.zeros([2]);
        var pair = new LinearPair(1.0, 1.0);

        FluentActions.Invoking(() => pair.Apply(two, one)).Should().Throw<ArgumentException>().WithMessage("*[2]*[1]*");
        FluentActions.Invoking(() => pair.Apply(two, single)).Should().Throw<ArgumentException>().WithMessage("*Float64*Float32*");
    }
}
