using System.Buffers.Binary;

namespace Diffusion.Core.Data;

/// <summary>
/// Reads PNG files of up to 8 bits per channel that are not interlaced: grey, RGB and palette, with or without alpha. A damaged file, or
/// one of more than 2^27 pixels, throws an exception.
/// </summary>
/// <remarks>Source: W3C, "Portable Network Graphics (PNG) Specification", third edition.</remarks>
internal static class PngReader
{
    // Deflate needs at least one bit for 129 bytes (two bits for a match of 258 bytes), which limits the image that a file can contain.
    private const long MostExpansion = 1032;

    // An image whose data is not compressed has four bytes per pixel and a filter byte per row. The rest is metadata.
    private const long MostBytesPerPixel = 5;
    private const long MostMetadata = 16L << 20;

    /// <summary>The default of the maximum number of pixels. A few kilobytes can expand to gigabytes of one colour.</summary>
    public const int DefaultMaxPixels = 1 << 25;

    /// <summary>Reads an image file.</summary>
    /// <param name="path">The path of the file.</param>
    /// <param name="maxPixels">The maximum number of pixels. It also limits the size of the file, to 5 bytes per pixel and 16 MiB.</param>
    /// <param name="check">
    /// Receives the width and the height before the image is decompressed, and may throw. The default does nothing.
    /// </param>
    /// <exception cref="IOException">The file is missing, is not a regular file, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is damaged, is not a PNG file, is too large, or has a format that is not supported. The message contains its path.
    /// </exception>
    public static PngImage Read(string path, int maxPixels = DefaultMaxPixels, Action<int, int>? check = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        var bytes = DiskFile.ReadBytes(path, (maxPixels * MostBytesPerPixel) + MostMetadata);
        try
        {
            return Parse(bytes, maxPixels, check);
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"'{path}' is damaged, or not a supported PNG file: {e.Message}", e);
        }
    }

    /// <summary>Reads an image from the bytes of its file.</summary>
    /// <param name="file">The bytes of the file.</param>
    /// <exception cref="InvalidDataException">The file is damaged, is not a PNG file, or has a format that is not supported.</exception>
    public static PngImage Read(ReadOnlySpan<byte> file) => Parse(file, DefaultMaxPixels, null);

    private static PngImage Parse(ReadOnlySpan<byte> file, int maxPixels, Action<int, int>? check)
    {
        var signature = PngWriter.Signature;
        if (!file.StartsWith(signature))
            throw new InvalidDataException(
                Invariant($"expected the signature {Convert.ToHexString(signature)}, got ")
                + Invariant($"'{Convert.ToHexString(file[..Math.Min(file.Length, 8)])}'."));
        var rest = file[signature.Length..];
        var header = PngHeader.Parse(Require(Next(ref rest), "IHDR"u8));
        if ((long)header.Width * header.Height > maxPixels)
            throw new InvalidDataException(Invariant($"expected at most {maxPixels} pixels, got {header.Width} x {header.Height}."));
        check?.Invoke(header.Width, header.Height);
        ReadOnlySpan<byte> palette = [], alpha = [];
        var compressed = new MemoryStream(rest.Length);
        var dataEnded = false;
        while (true)
        {
            var chunk = Next(ref rest);
            if (chunk.Type.SequenceEqual("IEND"u8))
                break;
            if (chunk.Type.SequenceEqual("IDAT"u8))
            {
                if (dataEnded)
                    throw new InvalidDataException("expected consecutive IDAT chunks, got another chunk between them.");
                compressed.Write(chunk.Data);
                continue;
            }

            dataEnded = compressed.Length > 0;
            if (chunk.Type.SequenceEqual("PLTE"u8))
                palette = chunk.Data;
            else if (chunk.Type.SequenceEqual("tRNS"u8))
                alpha = chunk.Data;
            else if (char.IsAsciiLetterUpper((char)chunk.Type[0]))
                throw new InvalidDataException(
                    Invariant($"expected known critical chunks, got '{Name(chunk.Type)}', which is not supported."));
        }

        Check(header, palette, alpha, compressed.Length);
        return PngRows.Read(header, palette, alpha, compressed);
    }

    private static void Check(PngHeader header, ReadOnlySpan<byte> palette, ReadOnlySpan<byte> alpha, long compressed)
    {
        var bytes = (Int128)header.Stride * header.Height;
        if (bytes > (Int128)compressed * MostExpansion)
            throw new InvalidDataException(
                Invariant($"expected an image that {compressed} compressed bytes can contain, got {header.Width} x {header.Height}."));
        if (header.Colour == PngHeader.Palette && (palette.IsEmpty || palette.Length % 3 != 0 || palette.Length > 3 << header.Depth))
            throw new InvalidDataException(
                Invariant($"expected a palette of 1 to {1 << header.Depth} colours of 3 bytes, got {palette.Length} bytes."));
        if (header.Colour != PngHeader.Palette && !alpha.IsEmpty)
            throw new InvalidDataException("expected alpha as a channel, got a transparent colour, which is not supported.");
        if (alpha.Length > palette.Length / 3 && header.Colour == PngHeader.Palette)
            throw new InvalidDataException(Invariant($"expected alpha for at most {palette.Length / 3} colours, got {alpha.Length}."));
    }

    /// <summary>Reads the next chunk and verifies its checksum.</summary>
    private static Chunk Next(scoped ref ReadOnlySpan<byte> rest)
    {
        if (rest.Length < 12)
            throw new InvalidDataException($"expected another chunk of at least 12 bytes, got {rest.Length} bytes.");
        var length = BinaryPrimitives.ReadUInt32BigEndian(rest);
        if (length > rest.Length - 12)
            throw new InvalidDataException(Invariant($"expected a chunk of {length} bytes, got {rest.Length - 12}."));
        var chunk = new Chunk(rest.Slice(4, 4), rest.Slice(8, (int)length));
        var (stored, actual) = (BinaryPrimitives.ReadUInt32BigEndian(rest[(8 + (int)length)..]), PngCrc.Of(chunk.Type, chunk.Data));
        if (stored != actual)
            throw new InvalidDataException(Invariant($"expected checksum {stored:X8} of chunk '{Name(chunk.Type)}', got {actual:X8}."));
        rest = rest[(12 + (int)length)..];
        return chunk;
    }

    private static ReadOnlySpan<byte> Require(Chunk chunk, ReadOnlySpan<byte> type)
        => chunk.Type.SequenceEqual(type)
            ? chunk.Data
            : throw new InvalidDataException(Invariant($"expected chunk '{Name(type)}' first, got '{Name(chunk.Type)}'."));

    private static string Name(ReadOnlySpan<byte> type)
        => string.Concat(type.ToArray().Select(b => b is > 32 and < 127 ? $"{(char)b}" : "?"));

    private readonly ref struct Chunk(ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        public ReadOnlySpan<byte> Type { get; } = type;

        public ReadOnlySpan<byte> Data { get; } = data;
    }
}
