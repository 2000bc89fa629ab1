namespace Diffusion.Core.Data;

/// <summary>An image of 8 bits per channel.</summary>
/// <param name="Width">Pixels in a row.</param>
/// <param name="Height">Rows.</param>
/// <param name="Channels">1 for grey, 2 for grey and alpha, 3 for red, green and blue, 4 for these and alpha.</param>
/// <param name="Pixels">height * width * channels bytes: rows from the top, pixels from the left, channels together.</param>
public sealed record PngImage(int Width, int Height, int Channels, ReadOnlyMemory<byte> Pixels)
{
    /// <summary>Whether the last channel is opacity, 0 for transparent to 255.</summary>
    public bool HasAlpha => Channels is 2 or 4;
}
