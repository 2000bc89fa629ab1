using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Diffusion.Core.Data.Tests;

/// <summary>
/// Reads PNG files of 8 bits, grey or RGB, by the letter of the specification, and is strict about chunks, checksums and lengths: the
/// other side of the writer, written apart from it.
/// </summary>
internal sealed record PngDecoder(int Width, int Height, int Channels, byte[] Pixels, int[] Filters)
{
    public static PngDecoder Read(string path) => Read(File.ReadAllBytes(path));

    public static PngDecoder Read(byte[] file)
    {
        file[..8].Should().Equal(137, 80, 78, 71, 13, 10, 26, 10);
        var chunks = Chunks(file).ToArray();
        chunks.Select(chunk => chunk.Type).Should().Equal("IHDR", "IDAT", "IEND");
        var header = chunks[0].Data;
        header.Should().HaveCount(13);
        var (width, height) = (BinaryPrimitives.ReadInt32BigEndian(header), BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(4)));
        header[8].Should().Be(8);
        header[9].Should().BeOneOf((byte)0, (byte)2);
        header[10..].Should().Equal(0, 0, 0);
        chunks[2].Data.Should().BeEmpty();

        var channels = header[9] == 0 ? 1 : 3;
        using var zlib = new ZLibStream(new MemoryStream(chunks[1].Data), CompressionMode.Decompress);
        using var rows = new MemoryStream();
        zlib.CopyTo(rows);
        var (pixels, filters) = Unfilter(rows.ToArray(), width * channels, height, channels);
        return new PngDecoder(width, height, channels, pixels, filters);
    }

    public byte At(int x, int y, int channel = 0) => Pixels[(((y * Width) + x) * Channels) + channel];

    private static IEnumerable<(string Type, byte[] Data)> Chunks(byte[] file)
    {
        var at = 8;
        while (at < file.Length)
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            var body = file[(at + 4)..(at + 8 + length)];
            BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at + 8 + length)).Should().Be(Crc(body));
            yield return (Encoding.ASCII.GetString(body[..4]), body[4..]);
            at += 12 + length;
        }

        at.Should().Be(file.Length);
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

    private static (byte[] Pixels, int[] Filters) Unfilter(byte[] rows, int stride, int height, int channels)
    {
        rows.Should().HaveCount((stride + 1) * height);
        var pixels = new byte[stride * height];
        var filters = new int[height];
        for (var y = 0; y < height; y++)
        {
            filters[y] = rows[y * (stride + 1)];
            for (var x = 0; x < stride; x++)
            {
                int a = x >= channels ? pixels[(y * stride) + x - channels] : 0;
                int b = y > 0 ? pixels[((y - 1) * stride) + x] : 0;
                int c = x >= channels && y > 0 ? pixels[((y - 1) * stride) + x - channels] : 0;
                var predictor = filters[y] switch
                {
                    0 => 0,
                    1 => a,
                    2 => b,
                    3 => (a + b) / 2,
                    4 => new[] { a, b, c }.MinBy(p => Math.Abs(a + b - c - p)),
                    _ => throw new InvalidDataException($"There is no filter {filters[y]}."),
                };
                pixels[(y * stride) + x] = (byte)(rows[(y * (stride + 1)) + 1 + x] + predictor);
            }
        }

        return (pixels, filters);
    }
}
