using System.Buffers.Binary;

namespace Diffusion.Core.Data;

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
