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
        => new UNetOptions { LevelWidths = widths }.Groups().Should().Be(expected);

    [Theory]
    [InlineData(28, 1, false, new[] { 28, 14, 7, 4 })]
    [InlineData(28, 0, false, new[] { 28, 14, 7, 3 })]
    [InlineData(17, 1, true, new[] { 17, 8, 4, 2 })]
    [InlineData(17, 1, false, new[] { 17, 9, 5, 3 })]
    public void Resolutions_halve_and_round_as_the_layers_do(int size, int padding, bool residual, int[] expected)
        => new UNetOptions { ImageSize = size, Multipliers = [1, 1, 1, 1], DownsamplePadding = padding, ResidualResampling = residual }
            .Resolutions().Should().Equal(expected);

    [Fact]
    public void Widths_are_multiples_unless_they_are_given()
    {
        new UNetOptions { Width = 24, Multipliers = [1, 2, 4] }.Widths().Should().Equal(24, 48, 96);
        new UNetOptions { Width = 24, Multipliers = [1, 2, 4], LevelWidths = [16, 20] }.Widths().Should().Equal(16, 20);
    }
}
