using System.Buffers.Binary;

namespace Diffusion.Core.Data;

/// <summary>What the first chunk of a PNG file says of the image.</summary>
/// <param name="Width">Pixels in a row.</param>
/// <param name="Height">Rows.</param>
/// <param name="Depth">Bits per value: 1, 2, 4 or 8.</param>
/// <param name="Colour">The colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.</param>
internal readonly record struct PngHeader(int Width, int Height, int Depth, byte Colour)
{
    public const byte Grey = 0;
    public const byte Palette = 3;

    private const int Size = 13;

    /// <summary>Values of a pixel in the file.</summary>
    public int Values => Colour switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 };

    /// <summary>Bytes of a row in the file, without the byte of its filter.</summary>
    public long Stride => (((long)Width * Values * Depth) + 7) / 8;

    /// <summary>Reads and checks the chunk.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or says what is not supported.</exception>
    public static PngHeader Parse(ReadOnlySpan<byte> data)
    {
        if (data.Length != Size)
            throw new InvalidDataException($"expected a header of {Size} bytes, got {data.Length}.");
        var (width, height) = (BinaryPrimitives.ReadUInt32BigEndian(data), BinaryPrimitives.ReadUInt32BigEndian(data[4..]));
        if (width is 0 or > int.MaxValue || height is 0 or > int.MaxValue)
            throw new InvalidDataException($"expected sizes of 1 to {int.MaxValue}, got {width} x {height}.");
        var (depth, colour) = (data[8], data[9]);
        var known = colour switch
        {
            Grey or Palette => depth is 1 or 2 or 4 or 8,
            2 or 4 or 6 => depth == 8,
            _ => false,
        };
        if (!known)
            throw new InvalidDataException(
                $"expected grey, RGB or palette of at most 8 bits, got colour type {colour} of {depth} bits, which is not supported.");
        if (data[10] != 0 || data[11] != 0)
            throw new InvalidDataException($"expected compression 0 and filtering 0, got {data[10]} and {data[11]}.");
        if (data[12] != 0)
            throw new InvalidDataException("expected an image that is not interlaced, got an interlaced one, which is not supported.");
        return new PngHeader((int)width, (int)height, depth, colour);
    }
}
