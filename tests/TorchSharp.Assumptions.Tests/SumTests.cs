using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

public class SumTests
{
    [Fact]
    public void A_literal_zero_is_a_type_and_not_a_dimension()
    {
        using var scope = NewDisposeScope();
        var x = ones(2, 3);

        x.sum(0).shape.Should().BeEmpty();
        x.sum(0).dtype.Should().Be(ScalarType.Byte);
        x.sum(dim: 0).shape.Should().Equal(3);
    }
}
