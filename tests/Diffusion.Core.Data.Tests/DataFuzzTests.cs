using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

[Trait(Category.Name, Category.Fault)]
public sealed class DataFuzzTests : IDisposable
{
    private const int Few = 2_000;
    private const int Many = 20_000;

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Formats { get; } = ["idx", "idx.gz", "content of idx.gz", "cifar", "png", "chunks of png"];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_damaged_file_is_read_or_refused_soon_and_with_little_memory(string format) => Run(format, Few, seed: 1);

    [Theory]
    [MemberData(nameof(Formats))]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_files_are_read_or_refused_soon_and_with_little_memory(string format) => Run(format, Many, seed: 2);

    private void Run(string format, int cases, int seed)
    {
        var random = new Random(seed);
        var read = 0;
        for (var i = 0; i < cases; i++)
        {
            var what = $"case {i} of {format}";
            read += Case(format, random, what) ? 1 : 0;
        }

        read.Should().BeInRange(1, cases / 2, "most damage is noticed");
    }

    private bool Case(string format, Random random, string what)
    {
        switch (format)
        {
            case "cifar":
                Save("data_batch_1.bin", DamagedBytes.Of(Cifar(), random));
                return DamagedBytes.Reads<InvalidDataException>(
                    () => new Cifar10(_folder.Path).Fill([0], default, new float[3072], new long[1]), what);
            case "png" or "chunks of png":
                Save("a.png", format == "png" ? DamagedBytes.Of(Png(random), random) : Chunks(random));
                var size = random.Next(2) == 0 ? ((int, int)?)null : (5, 7);
                return DamagedBytes.Reads<SampleException>(() => ReadImage(new ImageFolderOptions { Size = size, Background = 0 }), what);
            default:
                var suffix = format == "idx" ? "" : ".gz";
                Save("train-images-idx3-ubyte" + suffix, IdxBytes(format, random, [2, 28, 28]));
                Save("train-labels-idx1-ubyte" + suffix, IdxBytes(format, random, [2]));
                return DamagedBytes.Reads<InvalidDataException>(() => GC.KeepAlive(new Mnist(_folder.Path)), what);
        }
    }

    private void ReadImage(ImageFolderOptions options)
    {
        var data = new ImageFolder(_folder.Path, options);
        var shape = data.SampleShape;
        if (shape[1] * shape[2] < 1 << 16)
            data.Fill([0], default, new float[shape[0] * shape[1] * shape[2]], []);
    }

    private static byte[] IdxBytes(string format, Random random, int[] dimensions)
    {
        var bytes = Idx.Bytes(dimensions, new byte[dimensions.Aggregate((a, b) => a * b)]);
        if (random.Next(2) == 0)
            return format == "idx" ? bytes : Idx.Gzip(bytes);
        return format switch
        {
            "idx" => DamagedBytes.Of(bytes, random),
            "idx.gz" => DamagedBytes.Of(Idx.Gzip(bytes), random),
            _ => Idx.Gzip(DamagedBytes.Of(bytes, random)),
        };
    }

    private static byte[] Cifar()
    {
        var bytes = new byte[2 * 3073];
        (bytes[0], bytes[3073]) = (3, 9);
        return bytes;
    }

    /// <summary>A small image of one of the supported kinds.</summary>
    private static byte[] Png(Random random)
    {
        var kinds = ((byte Depth, byte Colour, int RowBytes)[])[(8, 0, 6), (8, 2, 18), (8, 4, 12), (8, 6, 24), (1, 0, 1), (2, 3, 2)];
        var (depth, colour, row) = kinds[random.Next(kinds.Length)];
        var rows = Enumerable.Range(0, 5 * (1 + row)).Select(i => i % (1 + row) == 0 ? (byte)(i % 5) : (byte)random.Next(256)).ToArray();
        (string, byte[])[] palette = colour == 3 ? [("PLTE", new byte[12])] : [];
        return PngFile.Of([PngFile.Header(6, 5, depth, colour), .. palette, PngFile.Data(rows), ("IEND", [])]);
    }

    /// <summary>An image with one changed chunk, whose checksum is right.</summary>
    private static byte[] Chunks(Random random)
    {
        var chunks = PngFile.Chunks(Png(random));
        var at = random.Next(chunks.Length);
        chunks[at] = (chunks[at].Type, DamagedBytes.Of(chunks[at].Data, random));
        return PngFile.Of(chunks);
    }

    private void Save(string name, byte[] bytes) => File.WriteAllBytes(_folder.File(name), bytes);
}
