using System.Buffers.Binary;
using System.IO.Compression;

namespace Diffusion.Core.Data;

/// <summary>
/// An array of bytes from a file in the IDX format of MNIST, uncompressed or gzip: two zero bytes, the type (8 for unsigned byte), the
/// number of dimensions, their sizes as big-endian 32-bit integers, then the values in row-major order. Reading a damaged file throws an
/// exception.
/// </summary>
internal sealed class IdxFile
{
    private const byte UnsignedByte = 0x08;
    private const int Chunk = 1 << 20;

    // MNIST expands fivefold. A file of zeros expands a thousandfold, so that a megabyte can fill a gigabyte of memory.
    private const long MostExpansion = 100;
    private const long FreeExpansion = 64L << 20;

    private IdxFile(int[] dimensions, byte[] data) => (Dimensions, Data) = (dimensions, data);

    /// <summary>The size of each dimension. The first one is the number of items.</summary>
    public IReadOnlyList<int> Dimensions { get; }

    /// <summary>The values. Their number is the product of the dimensions.</summary>
    public ReadOnlyMemory<byte> Data { get; }

    /// <summary>Reads a file. Compression is detected from its first bytes, not from its name.</summary>
    /// <param name="path">The path of the file.</param>
    /// <param name="shape">The expected dimensions; -1 stands for any size. The default is <see langword="null"/>: any dimensions.</param>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="IOException">The file is not a regular file, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is not an IDX file of bytes, is damaged, has other dimensions, has fewer or more values than its header specifies, or would
    /// expand to more than 64 MiB and more than 100 times its size. The message contains its path.
    /// </exception>
    public static IdxFile Read(string path, long[]? shape = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        try
        {
            using var file = DiskFile.OpenRead(path);
            var compressed = file.ReadByte() == 0x1F && file.ReadByte() == 0x8B;
            file.Position = 0;
            if (!compressed)
                return Parse(file, file.Length, long.MaxValue, shape);
            using var content = new GZipStream(file, CompressionMode.Decompress);
            var result = Parse(content, null, Math.Max(FreeExpansion, file.Length * MostExpansion), shape);
            GzipTrailer.Require(file, 4 + (4 * result.Dimensions.Count) + result.Data.Length);
            return result;
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"'{path}' is damaged, or not an IDX file of bytes: {e.Message}", e);
        }
    }

    /// <param name="stream">The stream, at the first byte of the header.</param>
    /// <param name="length">The length of the stream in bytes, or null if it is unknown.</param>
    /// <param name="mostValues">The maximum number of values.</param>
    /// <param name="shape">The expected dimensions, or null for any.</param>
    private static IdxFile Parse(Stream stream, long? length, long mostValues, long[]? shape)
    {
        var header = ReadAtMost(stream, 4);
        if (header.Length < 4 || header[0] != 0 || header[1] != 0)
            throw Damaged("an IDX header that starts with two zero bytes", $"'{Convert.ToHexString(header)}'");
        if (header[2] != UnsignedByte)
            throw Damaged("values of type 0x08 (unsigned byte)", $"type 0x{header[2]:X2}");
        if (header[3] == 0)
            throw Damaged("at least one dimension", "none");

        var sizes = ReadAtMost(stream, 4 * header[3]);
        if (sizes.Length < 4 * header[3])
            throw Damaged($"{header[3]} dimensions", "the end of the file");
        var dimensions = new int[header[3]];
        var count = 1L;
        for (var i = 0; i < dimensions.Length; i++)
        {
            var size = BinaryPrimitives.ReadUInt32BigEndian(sizes.AsSpan(4 * i));
            if (size == 0 || size * (Int128)count > Array.MaxLength)
                throw Damaged($"dimensions of at least 1 and at most {Array.MaxLength} values", $"dimension {i} of size {size}");
            (dimensions[i], count) = ((int)size, count * size);
        }

        // All of this is checked before memory is allocated for the values.
        var fits = shape is null
            || (shape.Length == dimensions.Length && shape.Zip(dimensions).All(pair => pair.First < 0 || pair.First == pair.Second));
        if (!fits)
            throw Damaged($"dimensions {string.Join(" x ", shape!.Select(size => size < 0 ? "N" : $"{size}"))}", Format(dimensions));
        if (count > mostValues)
            throw Damaged($"at most {mostValues} values in a compressed file of this size", $"dimensions {Format(dimensions)}");
        var start = 4 + sizes.Length;
        if (length is { } total && total != start + count)
            throw Damaged($"{start + count} bytes for dimensions {Format(dimensions)}", $"{total}");
        var data = ReadAtMost(stream, (int)count);
        if (data.Length < count)
            throw Damaged($"{count} values for dimensions {Format(dimensions)}", $"{data.Length}");
        if (ReadAtMost(stream, 1).Length != 0)
            throw Damaged($"{count} values for dimensions {Format(dimensions)}", "more");
        return new IdxFile(dimensions, data);
    }

    /// <summary>
    /// Reads up to <paramref name="count"/> bytes. The buffer grows as bytes are read, so that a wrong size in a header does not cause a
    /// large allocation.
    /// </summary>
    private static byte[] ReadAtMost(Stream stream, int count)
    {
        var buffer = new byte[Math.Min(count, Chunk)];
        var filled = 0;
        while (true)
        {
            filled += stream.ReadAtLeast(buffer.AsSpan(filled), buffer.Length - filled, throwOnEndOfStream: false);
            if (filled < buffer.Length)
                return buffer[..filled];
            if (filled == count)
                return buffer;
            Array.Resize(ref buffer, (int)Math.Min(count, 2L * buffer.Length));
        }
    }

    private static InvalidDataException Damaged(string expected, string actual) => new($"expected {expected}, got {actual}.");

    private static string Format(int[] dimensions) => string.Join(" x ", dimensions);
}

/// <summary>
/// Checks the end of gzip files. <see cref="GZipStream"/> accepts a file that is truncated within its last eight bytes, which are the
/// checksum and the length.
/// </summary>
/// <remarks>Source: RFC 1952, section 2.3.1.</remarks>
internal static class GzipTrailer
{
    /// <summary>
    /// Requires that a file of one member ends with the length of its decompressed content. Then the checksum before it is present, and has
    /// been verified.
    /// </summary>
    /// <param name="file">The compressed file. Its position is changed.</param>
    /// <param name="length">The number of decompressed bytes.</param>
    /// <exception cref="InvalidDataException">The file does not end with this length.</exception>
    public static void Require(Stream file, long length)
    {
        Span<byte> end = stackalloc byte[4];
        if (file.Length >= end.Length)
        {
            file.Seek(-end.Length, SeekOrigin.End);
            file.ReadExactly(end);
            if (BinaryPrimitives.ReadUInt32LittleEndian(end) == unchecked((uint)length))
                return;
        }

        throw new InvalidDataException(
            Invariant($"expected a gzip file of one member that ends with its length {length}, got a different ending."));
    }
}
