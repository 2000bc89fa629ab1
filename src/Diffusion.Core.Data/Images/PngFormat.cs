using System.Buffers.Binary;
using System.IO.Compression;

namespace Diffusion.Core.Data;

/// <summary>An image with 8 bits per channel.</summary>
/// <param name="Width">The width in pixels.</param>
/// <param name="Height">The height in pixels.</param>
/// <param name="Channels">The number of channels: 1 for grey, 2 for grey and alpha, 3 for RGB, 4 for RGB and alpha.</param>
/// <param name="Pixels">
/// height * width * channels bytes, with rows from the top, pixels from the left, and the channels of a pixel together.
/// </param>
internal sealed record PngImage(int Width, int Height, int Channels, ReadOnlyMemory<byte> Pixels)
{
    /// <summary>Whether the last channel is alpha, from 0 for transparent to 255 for opaque.</summary>
    public bool HasAlpha => Channels is 2 or 4;
}

/// <summary>The properties of an image from the first chunk of a PNG file.</summary>
/// <param name="Width">The width in pixels.</param>
/// <param name="Height">The height in pixels.</param>
/// <param name="Depth">The number of bits per value: 1, 2, 4 or 8.</param>
/// <param name="Colour">The colour type: 0 for grey, 2 for RGB, 3 for palette, 4 for grey and alpha, 6 for RGB and alpha.</param>
internal readonly record struct PngHeader(int Width, int Height, int Depth, byte Colour)
{
    public const byte Grey = 0;
    public const byte Palette = 3;

    private const int Size = 13;

    /// <summary>The number of values per pixel in the file.</summary>
    public int Values => Colour switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 };

    /// <summary>The number of bytes per row in the file, without the filter byte.</summary>
    public long Stride => (((long)Width * Values * Depth) + 7) / 8;

    /// <summary>Reads and checks the chunk.</summary>
    /// <exception cref="InvalidDataException">The chunk is damaged, or specifies a format that is not supported.</exception>
    public static PngHeader Parse(ReadOnlySpan<byte> data)
    {
        if (data.Length != Size)
            throw new InvalidDataException(Invariant($"expected a header of {Size} bytes, got {data.Length}."));
        var (width, height) = (BinaryPrimitives.ReadUInt32BigEndian(data), BinaryPrimitives.ReadUInt32BigEndian(data[4..]));
        if (width is 0 or > int.MaxValue || height is 0 or > int.MaxValue)
            throw new InvalidDataException(Invariant($"expected sizes of 1 to {int.MaxValue}, got {width} x {height}."));
        var (depth, colour) = (data[8], data[9]);
        var known = colour switch
        {
            Grey or Palette => depth is 1 or 2 or 4 or 8,
            2 or 4 or 6 => depth == 8,
            _ => false,
        };
        if (!known)
            throw new InvalidDataException(
                Invariant($"expected grey, RGB or palette of at most 8 bits, got colour type {colour} of {depth} bits, which is ")
                + "not supported.");
        if (data[10] != 0 || data[11] != 0)
            throw new InvalidDataException(Invariant($"expected compression 0 and filtering 0, got {data[10]} and {data[11]}."));
        if (data[12] != 0)
            throw new InvalidDataException("expected an image that is not interlaced, got an interlaced one, which is not supported.");
        return new PngHeader((int)width, (int)height, depth, colour);
    }
}

/// <summary>Decodes the compressed rows of a PNG file.</summary>
internal static class PngRows
{
    /// <summary>Decompresses the rows, reverses their filters and expands their values to bytes.</summary>
    /// <param name="header">The properties of the image.</param>
    /// <param name="palette">The palette, 3 bytes for each colour; empty if there is none.</param>
    /// <param name="alpha">The alpha values of the first colours of the palette; empty if all colours are opaque.</param>
    /// <param name="compressed">The rows, as a zlib stream.</param>
    /// <exception cref="InvalidDataException">The rows are damaged, or there are more or fewer than the header specifies.</exception>
    public static PngImage Read(PngHeader header, ReadOnlySpan<byte> palette, ReadOnlySpan<byte> alpha, MemoryStream compressed)
    {
        var channels = header.Colour != PngHeader.Palette ? header.Values : alpha.IsEmpty ? 3 : 4;
        var pixels = new byte[header.Width * header.Height * channels];
        var (row, above) = (new byte[1 + header.Stride], new byte[1 + header.Stride]);
        var distance = Math.Max(1, header.Values * header.Depth / 8);
        compressed.Position = 0;
        using var rows = new ZLibStream(compressed, CompressionMode.Decompress);
        for (var y = 0; y < header.Height; y++)
        {
            if (ReadWhole(rows, row) < row.Length)
                throw new InvalidDataException(Invariant($"expected {header.Height} rows, got {y} complete ones."));
            Unfilter(row[0], row.AsSpan(1), above.AsSpan(1), distance);
            var result = pixels.AsSpan(y * header.Width * channels, header.Width * channels);
            if (header.Colour == PngHeader.Palette)
                Colour(row.AsSpan(1), header.Depth, palette, alpha, channels, result);
            else if (header.Depth == 8)
                row.AsSpan(1).CopyTo(result);
            else
                Spread(row.AsSpan(1), header.Depth, result);
            (row, above) = (above, row);
        }

        if (ReadWhole(rows, row.AsSpan(0, 1)) > 0)
            throw new InvalidDataException(Invariant($"expected {header.Height} rows, got more."));
        return new PngImage(header.Width, header.Height, channels, pixels);
    }

    private static int ReadWhole(ZLibStream rows, Span<byte> row)
    {
        try
        {
            return rows.ReadAtLeast(row, row.Length, throwOnEndOfStream: false);
        }
        catch (IOException e)
        {
            throw new InvalidDataException("expected rows in the zlib format, without a dictionary, got something else.", e);
        }
    }

    private static void Unfilter(byte filter, Span<byte> row, ReadOnlySpan<byte> above, int distance)
    {
        if (filter > 4)
            throw new InvalidDataException(Invariant($"expected filters 0 to 4, got {filter}."));
        for (var i = 0; filter != 0 && i < row.Length; i++)
        {
            int left = i < distance ? 0 : row[i - distance];
            var predicted = filter switch
            {
                1 => left,
                2 => above[i],
                3 => (left + above[i]) >> 1,
                _ => PngWriter.Paeth(left, above[i], i < distance ? 0 : above[i - distance]),
            };
            row[i] = unchecked((byte)(row[i] + predicted));
        }
    }

    private static void Spread(ReadOnlySpan<byte> row, int depth, Span<byte> result)
    {
        var most = (1 << depth) - 1;
        for (var x = 0; x < result.Length; x++)
            result[x] = (byte)(At(row, x, depth) * 255 / most);
    }

    private static void Colour(
        ReadOnlySpan<byte> row, int depth, ReadOnlySpan<byte> palette, ReadOnlySpan<byte> alpha, int channels, Span<byte> result)
    {
        for (var x = 0; x < result.Length / channels; x++)
        {
            var colour = At(row, x, depth);
            if (3 * colour >= palette.Length)
                throw new InvalidDataException(Invariant($"expected colours 0..{(palette.Length / 3) - 1}, got {colour}."));
            var pixel = result.Slice(x * channels, channels);
            palette.Slice(3 * colour, 3).CopyTo(pixel);
            if (channels == 4)
                pixel[3] = colour < alpha.Length ? alpha[colour] : byte.MaxValue;
        }
    }

    /// <summary>Returns a value of 1 to 8 bits. The first value in a byte has the high bits.</summary>
    private static int At(ReadOnlySpan<byte> row, int x, int depth)
    {
        var bit = (long)x * depth;
        return (row[(int)(bit >> 3)] >> (8 - depth - (int)(bit & 7))) & ((1 << depth) - 1);
    }
}

/// <summary>The checksum of the chunks of PNG files.</summary>
/// <remarks>Source: W3C, "Portable Network Graphics (PNG) Specification", third edition, section 5.5.</remarks>
internal static class PngCrc
{
    private static readonly uint[] Table = MakeTable();

    /// <summary>Computes the checksum of the type and the data of a chunk.</summary>
    public static uint Of(ReadOnlySpan<byte> type, ReadOnlySpan<byte> data) => ~Update(Update(uint.MaxValue, type), data);

    private static uint Update(uint crc, ReadOnlySpan<byte> data)
    {
        foreach (var value in data)
            crc = Table[(crc ^ value) & 0xFF] ^ (crc >> 8);
        return crc;
    }

    private static uint[] MakeTable()
    {
        var table = new uint[256];
        for (var i = 0u; i < table.Length; i++)
        {
            var value = i;
            for (var bit = 0; bit < 8; bit++)
                value = (value & 1) == 0 ? value >> 1 : 0xEDB88320u ^ (value >> 1);
            table[i] = value;
        }

        return table;
    }
}
