using System.Buffers.Binary;
using System.IO.Compression;

namespace Diffusion.Core.Data;

/// <summary>Writes PNG files of 8 bits per channel, grey or RGB, with no library other than .NET.</summary>
/// <remarks>Source: W3C, "Portable Network Graphics (PNG) Specification", third edition.</remarks>
internal static class PngWriter
{
    private const int Filters = 5;

    /// <summary>The first bytes of every PNG file.</summary>
    internal static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    /// <summary>
    /// Writes an image to a file. The file is written completely or not at all, and its folder is created if it does not exist.
    /// </summary>
    /// <param name="path">The path of the file. An existing file is replaced.</param>
    /// <param name="pixels">
    /// height * width * channels bytes, with rows from the top, pixels from the left, and the channels of a pixel together.
    /// </param>
    /// <param name="width">The width in pixels, at least 1.</param>
    /// <param name="height">The height in pixels, at least 1.</param>
    /// <param name="channels">The number of channels: 1 for grey, 3 for RGB.</param>
    /// <exception cref="ArgumentException">
    /// A size or the number of channels is out of range, or the number of bytes does not match them.
    /// </exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(string path, ReadOnlySpan<byte> pixels, int width, int height, int channels)
    {
        using var memory = new MemoryStream();
        Write(memory, pixels, width, height, channels);
        AtomicFile.Write(path, memory.WriteTo);
    }

    /// <summary>Writes an image to a stream, which remains open.</summary>
    /// <param name="stream">The stream to write to.</param>
    /// <param name="pixels">
    /// height * width * channels bytes, with rows from the top, pixels from the left, and the channels of a pixel together.
    /// </param>
    /// <param name="width">The width in pixels, at least 1.</param>
    /// <param name="height">The height in pixels, at least 1.</param>
    /// <param name="channels">The number of channels: 1 for grey, 3 for RGB.</param>
    /// <exception cref="ArgumentException">
    /// A size or the number of channels is out of range, or the number of bytes does not match them.
    /// </exception>
    public static void Write(Stream stream, ReadOnlySpan<byte> pixels, int width, int height, int channels)
    {
        ArgumentNullException.ThrowIfNull(stream);
        Check(pixels, width, height, channels);

        Span<byte> header = stackalloc byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], height);
        header[8] = 8;
        header[9] = (byte)(channels == 1 ? 0 : 2);
        header[10..].Clear();

        stream.Write(Signature);
        WriteChunk(stream, "IHDR"u8, header);
        WriteChunk(stream, "IDAT"u8, Compress(pixels, width * channels, height, channels));
        WriteChunk(stream, "IEND"u8, []);
    }

    private static void Check(ReadOnlySpan<byte> pixels, int width, int height, int channels)
    {
        Guard.InRange(width, 1, int.MaxValue);
        Guard.InRange(height, 1, int.MaxValue);
        if (channels is not (1 or 3))
            throw new ArgumentOutOfRangeException(
                nameof(channels), channels, Invariant($"An image must have 1 or 3 channels, got {channels}."));
        if ((Int128)width * height * channels != pixels.Length)
            throw new ArgumentException(
                Invariant($"An image of {width} x {height} with {channels} channels must have {(Int128)width * height * channels} bytes, ")
                    + $"got {pixels.Length}.",
                nameof(pixels));
    }

    private static ReadOnlySpan<byte> Compress(ReadOnlySpan<byte> pixels, int stride, int height, int channels)
    {
        using var memory = new MemoryStream();
        using (var zlib = new ZLibStream(memory, CompressionLevel.Optimal, leaveOpen: true))
        {
            ReadOnlySpan<byte> above = new byte[stride];
            var candidate = new byte[stride + 1];
            var best = new byte[stride + 1];
            for (var y = 0; y < height; y++)
            {
                var row = pixels.Slice(y * stride, stride);
                var lowest = long.MaxValue;
                for (var filter = 0; filter < Filters; filter++)
                {
                    var cost = Filter(filter, row, above, channels, candidate);
                    if (cost >= lowest)
                        continue;
                    (candidate, best, lowest) = (best, candidate, cost);
                }

                zlib.Write(best);
                above = row;
            }
        }

        return memory.GetBuffer().AsSpan(0, (int)memory.Length);
    }

    /// <summary>
    /// Writes a filter byte and the filtered row. Returns the sum of absolute differences, the usual estimate of the compressed size.
    /// </summary>
    private static long Filter(int filter, ReadOnlySpan<byte> row, ReadOnlySpan<byte> above, int channels, Span<byte> result)
    {
        result[0] = (byte)filter;
        var sum = 0L;
        for (var i = 0; i < row.Length; i++)
        {
            int left = i < channels ? 0 : row[i - channels];
            int up = above[i];
            var predicted = filter switch
            {
                0 => 0,
                1 => left,
                2 => up,
                3 => (left + up) >> 1,
                _ => Paeth(left, up, i < channels ? 0 : above[i - channels]),
            };
            var difference = unchecked((byte)(row[i] - predicted));
            result[i + 1] = difference;
            sum += Math.Abs((int)unchecked((sbyte)difference));
        }

        return sum;
    }

    /// <summary>Returns the one of left, up and corner that is nearest to left + up - corner: the Paeth predictor.</summary>
    internal static int Paeth(int left, int up, int corner)
    {
        var (a, b, c) = (Math.Abs(up - corner), Math.Abs(left - corner), Math.Abs(left + up - (2 * corner)));
        return a <= b && a <= c ? left : b <= c ? up : corner;
    }

    private static void WriteChunk(Stream stream, ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        Span<byte> word = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(word, data.Length);
        stream.Write(word);
        stream.Write(type);
        stream.Write(data);
        BinaryPrimitives.WriteUInt32BigEndian(word, PngCrc.Of(type, data));
        stream.Write(word);
    }
}
