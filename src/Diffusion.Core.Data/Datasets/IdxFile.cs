using System.Buffers.Binary;
using System.IO.Compression;

namespace Diffusion.Core.Data;

/// <summary>
/// An array of bytes in the IDX format of MNIST, plain or gzip: two zero bytes, the type (8, unsigned byte), the number of dimensions,
/// their sizes as big-endian 32-bit integers, then the values, the last dimension fastest. A damaged file throws an exception.
/// </summary>
internal sealed class IdxFile
{
    private const byte UnsignedByte = 0x08;
    private const int Chunk = 1 << 20;

    private IdxFile(int[] dimensions, byte[] data) => (Dimensions, Data) = (dimensions, data);

    /// <summary>The size of each dimension, the first the number of items.</summary>
    public IReadOnlyList<int> Dimensions { get; }

    /// <summary>The values: as many as the product of the dimensions.</summary>
    public ReadOnlyMemory<byte> Data { get; }

    /// <summary>Reads a file. Whether it is compressed is seen from its first bytes, not from its name.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is no IDX file of bytes, is damaged, or has fewer or more values than its header specifies.
    /// </exception>
    public static IdxFile Read(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        try
        {
            using var file = File.OpenRead(path);
            var compressed = file.ReadByte() == 0x1F && file.ReadByte() == 0x8B;
            file.Position = 0;
            if (!compressed)
                return Parse(file, file.Length);
            using var content = new GZipStream(file, CompressionMode.Decompress);
            var result = Parse(content, null);
            GzipTrailer.Require(file, 4 + (4 * result.Dimensions.Count) + result.Data.Length);
            return result;
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"'{path}' is damaged, or no IDX file of bytes: {e.Message}", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"Cannot read '{path}': {e.Message}", e);
        }
    }

    /// <param name="stream">At the first byte of the header.</param>
    /// <param name="length">Bytes in the stream, where that is known.</param>
    private static IdxFile Parse(Stream stream, long? length)
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
            throw Damaged($"{header[3]} dimensions", "the end of the file among them");
        var dimensions = new int[header[3]];
        var count = 1L;
        for (var i = 0; i < dimensions.Length; i++)
        {
            var size = BinaryPrimitives.ReadUInt32BigEndian(sizes.AsSpan(4 * i));
            if (size == 0 || size * (Int128)count > Array.MaxLength)
                throw Damaged($"dimensions of at least 1 and at most {Array.MaxLength} values", $"dimension {i} of size {size}");
            (dimensions[i], count) = ((int)size, count * size);
        }

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

    /// <summary>Grows with what the stream really holds, so that a header cannot ask for memory that the file does not back.</summary>
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
/// The end of a gzip file. .NET's reader takes a stream that stops within its last eight bytes, checksum and length, for a complete one.
/// </summary>
/// <remarks>Source: RFC 1952, section 2.3.1.</remarks>
internal static class GzipTrailer
{
    /// <summary>
    /// Requires that a file of one member ends with the length of what it holds; then its checksum was there and was read too.
    /// </summary>
    /// <param name="file">The compressed file; its position is moved.</param>
    /// <param name="length">Bytes that were decompressed.</param>
    /// <exception cref="InvalidDataException">The file ends otherwise.</exception>
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

        throw new InvalidDataException($"expected a gzip file of one member that ends with its length {length}, got another end.");
    }
}
