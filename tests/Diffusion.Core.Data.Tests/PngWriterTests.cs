using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

public sealed class PngWriterTests
{
    public static TheoryData<string, int, int, int> Pictures
    {
        get
        {
            var data = new TheoryData<string, int, int, int>();
            foreach (var kind in new[] { "noise", "flat", "across", "down", "diagonal", "smooth" })
            {
                foreach (var channels in new[] { 1, 3 })
                {
                    foreach (var (width, height) in new[] { (1, 1), (1, 7), (7, 1), (33, 21) })
                        data.Add(kind, width, height, channels);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Pictures))]
    public void Pixels_come_back(string kind, int width, int height, int channels)
    {
        var pixels = Make(kind, width, height, channels);
        using var stream = new MemoryStream();

        PngWriter.Write(stream, pixels, width, height, channels);

        var read = PngDecoder.Read(stream.ToArray());
        (read.Width, read.Height, read.Channels).Should().Be((width, height, channels));
        read.Pixels.Should().Equal(pixels);
    }

    [Fact]
    public void Every_filter_is_used_where_it_serves_and_makes_the_file_small()
    {
        var filters = new HashSet<int>();
        foreach (var kind in new[] { "noise", "flat", "across", "down", "diagonal", "smooth", "average" })
        {
            using var stream = new MemoryStream();
            PngWriter.Write(stream, Make(kind, 64, 64, 3), 64, 64, 3);
            filters.UnionWith(PngDecoder.Read(stream.ToArray()).Filters);
            if (kind == "diagonal")
                stream.Length.Should().BeLessThan(64 * 64 * 3 / 10);
        }

        filters.Should().BeEquivalentTo([0, 1, 2, 3, 4]);
    }

    [Theory]
    [InlineData(0, 4, 1, 4)]
    [InlineData(4, -1, 1, 4)]
    [InlineData(2, 2, 2, 8)]
    [InlineData(2, 2, 4, 16)]
    [InlineData(2, 2, 1, 5)]
    [InlineData(2, 2, 3, 4)]
    [InlineData(int.MaxValue, int.MaxValue, 3, 4)]
    [Trait(Category.Name, Category.Fault)]
    public void Sizes_that_do_not_fit_are_refused_and_nothing_is_written(int width, int height, int channels, int bytes)
    {
        using var folder = new TemporaryFolder();

        var save = () => PngWriter.Save(folder.File("image.png"), new byte[bytes], width, height, channels);

        save.Should().Throw<ArgumentException>();
        Directory.GetFileSystemEntries(folder.Path).Should().BeEmpty();
    }

    private static byte[] Make(string kind, int width, int height, int channels)
    {
        var pixels = new byte[width * height * channels];
        var state = 1u;
        for (var i = 0; i < pixels.Length; i++)
        {
            var (y, x, c) = (i / channels / width, i / channels % width, i % channels);
            state = (state * 1664525u) + 1013904223u;
            int Left() => x > 0 ? pixels[i - channels] : 0;
            int Up() => y > 0 ? pixels[i - (width * channels)] : 0;
            pixels[i] = kind switch
            {
                "noise" => (byte)(state >> 24),
                "flat" => (byte)(40 * c),
                "across" => (byte)((3 * x * x) + c),
                "down" => (byte)((5 * y * y) + (state >> 31) + c),
                "diagonal" => (byte)((3 * x) + (5 * y) + (60 * c)),
                "average" => (byte)(((Left() + Up()) / 2) + (state >> 30) + (y == 0 || x == 0 ? 61 * (x + y) : 0)),
                _ => (byte)(128 + (100 * Math.Sin(x / 5.0) * Math.Cos((y + c) / 7.0))),
            };
        }

        return pixels;
    }
}
