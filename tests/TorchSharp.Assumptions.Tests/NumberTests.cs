using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>Numbers in the place of tensors.</summary>
public class NumberTests
{
    [Fact]
    public void The_type_of_full_is_that_of_the_number()
    {
        using var integers = full([2], 2);
        using var reals = full([2], 2.0);

        integers.dtype.Should().Be(ScalarType.Int64);
        reals.dtype.Should().Be(ScalarType.Float32);
    }

    [Fact]
    public void An_assigned_number_becomes_a_tensor_that_nothing_disposes()
    {
        using var x = zeros([2, 2]);

        using (NewDisposeScope())
            Values.LiveTensors(() => x[0, 1] = 3).Should().Be(1);

        x.ShouldHold(0, 3, 0, 0);
    }
}
