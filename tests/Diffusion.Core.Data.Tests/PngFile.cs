using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Diffusion.Core.Data.Tests;

/// <summary>PNG files made chunk by chunk, right or wrong, with right checksums.</summary>
internal static class PngFile
{
    private static ReadOnlySpan<byte> Signature => [137, 80, 78, 71, 13, 10, 26, 10];

    public static byte[] Of(params IEnumerable<(string Type, byte[] Data)> chunks)
    {
        using var file = new MemoryStream();
        file.Write(Signature);
        foreach (var (type, data) in chunks)
        {
            file.Write(Word((uint)data.Length));
            byte[] body = [.. Encoding.ASCII.GetBytes(type), .. data];
            file.Write(body);
            file.Write(Word(Crc(body)));
        }

        return file.ToArray();
    }

    public static (string Type, byte[] Data)[] Chunks(byte[] file)
    {
        var chunks = new List<(string, byte[])>();
        for (var at = 8; at < file.Length;)
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            chunks.Add((Encoding.ASCII.GetString(file, at + 4, 4), file[(at + 8)..(at + 8 + length)]));
            at += 12 + length;
        }

        return [.. chunks];
    }

    public static (string Type, byte[] Data) Header(
        uint width, uint height, byte depth, byte colour, byte compression = 0, byte filter = 0, byte interlace = 0)
        => ("IHDR", [.. Word(width), .. Word(height), depth, colour, compression, filter, interlace]);

    public static (string Type, byte[] Data) Data(params byte[] rows)
    {
        using var memory = new MemoryStream();
        using (var zlib = new ZLibStream(memory, CompressionLevel.Optimal))
            zlib.Write(rows);
        return ("IDAT", memory.ToArray());
    }

    private static byte[] Word(uint value)
    {
        var word = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(word, value);
        return word;
    }

    private static uint Crc(byte[] data)
    {
        var crc = uint.MaxValue;
        foreach (var value in data)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320u);
        }

        return ~crc;
    }
}
