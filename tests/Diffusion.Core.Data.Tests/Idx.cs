using System.IO.Compression;

namespace Diffusion.Core.Data.Tests;

/// <summary>IDX files made by hand.</summary>
internal static class Idx
{
    /// <summary>A header of bytes with the given dimensions, and then the given values.</summary>
    public static byte[] Bytes(ReadOnlySpan<int> dimensions, ReadOnlySpan<byte> values)
    {
        var bytes = new List<byte> { 0, 0, 8, (byte)dimensions.Length };
        foreach (var size in dimensions)
            bytes.AddRange([(byte)(size >> 24), (byte)(size >> 16), (byte)(size >> 8), (byte)size]);
        bytes.AddRange(values);
        return [.. bytes];
    }

    /// <summary>The same bytes compressed.</summary>
    public static byte[] Gzip(byte[] bytes, CompressionLevel level = CompressionLevel.Optimal)
    {
        using var memory = new MemoryStream();
        using (var gzip = new GZipStream(memory, level, leaveOpen: true))
            gzip.Write(bytes);
        return memory.ToArray();
    }

    /// <summary>Pixel i of image n of a small set that <see cref="WriteMnist"/> writes.</summary>
    public static byte Pixel(int n, int i) => (byte)((31 * n) + (7 * i));

    /// <summary>A folder in the form of MNIST with few images, the label of image n being (3n) mod 10.</summary>
    public static void WriteMnist(string folder, int count = 12, bool train = true, bool compressed = false)
    {
        var prefix = train ? "train" : "t10k";
        var pixels = Enumerable.Range(0, count * 784).Select(i => Pixel(i / 784, i % 784)).ToArray();
        var labels = Enumerable.Range(0, count).Select(n => (byte)(3 * n % 10)).ToArray();
        Write($"{prefix}-images-idx3-ubyte", Bytes([count, 28, 28], pixels));
        Write($"{prefix}-labels-idx1-ubyte", Bytes([count], labels));

        void Write(string name, byte[] bytes)
            => File.WriteAllBytes(Path.Combine(folder, compressed ? name + ".gz" : name), compressed ? Gzip(bytes) : bytes);
    }
}
