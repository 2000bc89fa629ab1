using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>What a convolution says about itself.</summary>
public class ConvolutionSettingsTests
{
    [Fact]
    public void A_convolution_tells_its_sizes()
    {
        using var layer = nn.Conv2d(4, 6, 3L, stride: 2L, padding: 1L, dilation: 3L, groups: 2L);
        layer.in_channels.Should().Be(4);
        layer.stride.Should().Equal(2, 2);
        layer.padding.Should().Equal(1, 1);
        layer.dilation.Should().Equal(3, 3);
        layer.groups.Should().Be(2);
        layer.padding_mode.Should().Be(PaddingModes.Zeros);
    }
}
