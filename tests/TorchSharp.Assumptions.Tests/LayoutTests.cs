using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>The layout of a result in memory.</summary>
public class LayoutTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_sum_of_two_layouts_has_that_of_its_first_operand(bool channelsLastFirst)
    {
        using var scope = NewDisposeScope();
        var planes = ones([2, 3, 4, 5]);
        var pixels = ones([2, 4, 5, 3]).permute(0, 3, 1, 2);
        var (first, second) = channelsLastFirst ? (pixels, planes) : (planes, pixels);

        var sum = first.add(second);

        sum.stride().Should().Equal(first.stride()).And.NotEqual(second.stride());
    }
}
