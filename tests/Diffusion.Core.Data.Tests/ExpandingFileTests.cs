using System.IO.Compression;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

[Trait(Category.Name, Category.Fault)]
public sealed class ExpandingFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_small_compressed_file_of_many_images_is_refused_before_any_memory_is_taken()
    {
        const int Images = 1_300_000;
        using (var gzip = new GZipStream(File.Create(_folder.File("train-images-idx3-ubyte.gz")), CompressionLevel.Optimal))
        {
            gzip.Write(Idx.Bytes([Images, 28, 28], []));
            var zeros = new byte[1 << 20];
            for (var i = 0; i < 100; i++)
                gzip.Write(zeros);
        }

        var before = GC.GetAllocatedBytesForCurrentThread();
        FluentActions.Invoking(() => new Mnist(_folder.Path, options: new MnistOptions { WithLabels = false }))
            .Should().Throw<InvalidDataException>().WithMessage($"*train-images*at most 67108864 values*{Images} x 28 x 28*");
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(4_000_000);
    }

    [Fact]
    public void A_compressed_file_of_other_dimensions_is_refused_before_any_memory_is_taken()
    {
        File.WriteAllBytes(_folder.File("train-images-idx3-ubyte.gz"), Idx.Gzip(Idx.Bytes([1, 7_000, 7_000], new byte[49_000_000])));

        var before = GC.GetAllocatedBytesForCurrentThread();
        FluentActions.Invoking(() => new Mnist(_folder.Path, options: new MnistOptions { WithLabels = false }))
            .Should().Throw<InvalidDataException>().WithMessage("*dimensions N x 28 x 28, got 1 x 7000 x 7000*");
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(4_000_000);
    }

    [Fact]
    public void An_image_at_the_limit_of_pixels_takes_no_more_memory_than_its_bytes()
    {
        const int Side = 5_792;
        Save("a.png", Side, Side, 1, new byte[Side * (1 + (Side / 8))]);
        new FileInfo(_folder.File("a.png")).Length.Should().BeLessThan(16_000);
        var data = new ImageFolder(_folder.Path, new ImageFolderOptions { Size = (64, 64) });
        var sample = new float[3 * 64 * 64];

        var before = GC.GetAllocatedBytesForCurrentThread();
        data.Fill([0], default, sample, []);

        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan((Side * Side) + 4_000_000);
        sample.Should().AllBeEquivalentTo(-1f);
    }

    [Theory]
    [InlineData(1 << 20, 1)]
    [InlineData(1, 1 << 20)]
    public void A_long_image_takes_no_more_memory_than_its_bytes(int width, int height)
    {
        Save("a.png", width, height, 8, new byte[(width + 1) * height]);
        var data = new ImageFolder(_folder.Path, new ImageFolderOptions { Size = (64, 64) });

        var before = GC.GetAllocatedBytesForCurrentThread();
        data.Fill([0], default, new float[3 * 64 * 64], []);

        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(8_000_000);
    }

    [Fact]
    public void An_image_of_another_size_or_too_many_pixels_is_refused_before_it_is_decompressed()
    {
        Save("a.png", 2, 2, 8, new byte[6]);
        Save("b.png", 5_000, 5_000, 8, new byte[5_001 * 5_000]);
        var data = new ImageFolder(_folder.Path);
        var scaled = new ImageFolder(_folder.Path, new ImageFolderOptions { Size = (2, 2), MaxPixels = 24_000_000 });

        var before = GC.GetAllocatedBytesForCurrentThread();
        Refuse(data, "*b.png' must be 2 x 2 pixels*5000 x 5000*");
        Refuse(scaled, "*b.png*at most 24000000 pixels*5000 x 5000*");
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(4_000_000);

        new ImageFolder(_folder.Path, new ImageFolderOptions { Size = (2, 2), MaxPixels = 25_000_000 }).Verify(cancellationToken: TestContext.Current.CancellationToken)
            .Should().BeEmpty();
        FluentActions.Invoking(() => new ImageFolder(_folder.Path, new ImageFolderOptions { MaxPixels = 0 }))
            .Should().Throw<ArgumentOutOfRangeException>().WithMessage("*MaxPixels*268435456*0*");
    }

    [Fact]
    public void A_file_larger_than_its_limit_is_refused_before_it_is_read()
    {
        using (var file = File.Create(_folder.File("a.png")))
            file.SetLength(300_000_000);

        var before = GC.GetAllocatedBytesForCurrentThread();
        FluentActions.Invoking(() => PngReader.Read(_folder.File("a.png"))).Should().Throw<InvalidDataException>()
            .WithMessage("*a.png' must have at most 184549376 bytes, has 300000000*");
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(1_000_000);
    }

    private static void Refuse(ImageFolder data, string message)
        => data.Invoking(it => it.Fill([1], default, new float[12], [])).Should().Throw<SampleException>().WithMessage(message);

    private void Save(string name, int width, int height, byte depth, byte[] rows)
        => File.WriteAllBytes(
            _folder.File(name), PngFile.Of(PngFile.Header((uint)width, (uint)height, depth, 0), PngFile.Data(rows), ("IEND", [])));
}
