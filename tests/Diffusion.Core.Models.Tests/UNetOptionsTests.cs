namespace Diffusion.Core.Models.Tests;

public class UNetOptionsTests
{
    [Theory]
    [InlineData(new[] { 64, 128, 128 }, 16)]
    [InlineData(new[] { 32, 64, 64 }, 8)]
    [InlineData(new[] { 24, 48, 64 }, 4)]
    [InlineData(new[] { 128, 256, 256, 256 }, 32)]
    [InlineData(new[] { 512 }, 32)]
    [InlineData(new[] { 6, 12 }, 1)]
    public void The_groups_divide_every_width_and_leave_four_channels_to_each(int[] widths, int expected)
        => new UNetOptions { Width = 1, Multipliers = widths, HeadWidth = 1 }.ToLayout().Groups().Should().Be(expected);

    [Theory]
    [InlineData(28, 1, false, new[] { 28, 14, 7, 4 })]
    [InlineData(28, 0, false, new[] { 28, 14, 7, 3 })]
    [InlineData(17, 1, true, new[] { 17, 8, 4, 2 })]
    [InlineData(17, 1, false, new[] { 17, 9, 5, 3 })]
    public void Resolutions_halve_and_round_as_the_layers_do(int size, int padding, bool residual, int[] expected)
        => new UNetOptions { ImageSize = size, Multipliers = [1, 1, 1, 1], DownsamplePadding = padding, ResidualResampling = residual }
            .ToLayout().Resolutions().Should().Equal(expected);

    [Fact]
    public void Options_describe_a_layout_of_equal_levels()
    {
        var options = new UNetOptions
        {
            ImageSize = 16,
            Width = 24,
            Multipliers = [1, 2, 4],
            LayersPerBlock = 3,
            AttentionResolutions = [8],
            HeadWidth = 12,
            ResidualResampling = true,
            Classes = 10,
        };
        var plain = new UNetBlockOptions { Resampling = UNetResampling.Residual };
        var attention = new SelfAttentionOptions { HeadWidth = 12 };

        var layout = options.ToLayout();

        layout.Levels.Should().Equal(
            new UNetLevel { Width = 24, Layers = 3, Down = plain },
            new UNetLevel { Width = 48, Layers = 3, Down = plain with { Attention = attention } },
            new UNetLevel { Width = 96, Layers = 3, Down = plain });
        layout.Middle.Should().Be(new UNetBlockOptions { Attention = attention });
        (options with { MiddleAttention = false }).ToLayout().Middle.Should().Be(new UNetBlockOptions());
        layout.ToJson()["class_embedding"]!.ToJsonString().Should().Be("""{"type":"classes","classes":10}""");
    }

    /// <summary>An option without its counterpart in the layout would be lost.</summary>
    [Fact]
    public void Every_option_of_the_same_name_is_that_of_the_layout()
    {
        var options = new UNetOptions
        {
            Dimensions = 1,
            ImageSize = 64,
            Channels = 2,
            OutChannels = 4,
            Dropout = 0.25,
            GroupNormGroups = 2,
            NormEpsilon = 1e-3,
            ScaleShift = true,
            Activation = Activation.Gelu,
            TimeEncoding = TimeEncoding.Fourier(),
            ZeroOutput = false,
            UseGradientCheckpointing = true,
        };

        var layout = options.ToLayout();

        var shared = typeof(UNetOptions).GetProperties().Where(property => typeof(UNetLayout).GetProperty(property.Name) is not null).ToArray();
        shared.Should().HaveCount(12);
        foreach (var property in shared)
        {
            var value = property.GetValue(options);
            typeof(UNetLayout).GetProperty(property.Name)!.GetValue(layout).Should().Be(value, property.Name);
            value.Should().NotBe(property.GetValue(new UNetOptions()), property.Name);
        }
    }
}
