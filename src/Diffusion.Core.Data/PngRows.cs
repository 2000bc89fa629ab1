using System.IO.Compression;

namespace Diffusion.Core.Data;

/// <summary>The pixels of a PNG file from its compressed rows.</summary>
internal static class PngRows
{
    /// <summary>Decompresses the rows, undoes their filters and spreads their values to bytes.</summary>
    /// <param name="header">What the file says of the image.</param>
    /// <param name="palette">3 bytes for each colour, where there is one.</param>
    /// <param name="alpha">The opacity of the first colours of the palette; empty where all are opaque.</param>
    /// <param name="compressed">The rows, as a zlib stream.</param>
    /// <exception cref="InvalidDataException">They are damaged, or more or fewer than the header says.</exception>
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
                throw new InvalidDataException($"expected {header.Height} rows, got {y} and no whole one after.");
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
            throw new InvalidDataException($"expected {header.Height} rows, got more.");
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
            throw new InvalidDataException($"expected filters 0 to 4, got {filter}.");
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
                throw new InvalidDataException($"expected colours 0..{(palette.Length / 3) - 1}, got {colour}.");
            var pixel = result.Slice(x * channels, channels);
            palette.Slice(3 * colour, 3).CopyTo(pixel);
            if (channels == 4)
                pixel[3] = colour < alpha.Length ? alpha[colour] : byte.MaxValue;
        }
    }

    /// <summary>A value of 1 to 8 bits; the first of a byte are its high bits.</summary>
    private static int At(ReadOnlySpan<byte> row, int x, int depth)
    {
        var bit = (long)x * depth;
        return (row[(int)(bit >> 3)] >> (8 - depth - (int)(bit & 7))) & ((1 << depth) - 1);
    }
}
