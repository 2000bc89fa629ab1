using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

public sealed class PngReaderTests
{
    private static readonly (string Type, byte[] Data) s_end = ("IEND", []);

    public static TheoryData<string> Names =>
    [
        "grey", "rgb", "rgba", "grey-alpha", "grey-1-bit", "palette-2", "palette-4", "palette-13", "palette-200", "palette-alpha",
        "uncompressed", "optimised",
    ];

    [Theory]
    [MemberData(nameof(Names))]
    [Trait(Category.Name, Category.Golden)]
    public void A_file_of_another_encoder_is_read_as_its_own_decoder_does(string name)
    {
        var picture = Require(name);

        var image = PngReader.Read(picture.File);

        (image.Width, image.Height, image.Channels).Should().Be((picture.Width, picture.Height, picture.Channels));
        image.Pixels.ToArray().Should().Equal(picture.Pixels);
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(37, 5, 1)]
    [InlineData(1, 64, 3)]
    [InlineData(64, 33, 3)]
    public void What_the_writer_writes_comes_back(int width, int height, int channels)
    {
        var pixels = new byte[width * height * channels];
        for (var i = 0; i < pixels.Length; i++)
            pixels[i] = (byte)((i * i) + (i / 7));
        using var folder = new TemporaryFolder();
        PngWriter.Save(folder.File("x.png"), pixels, width, height, channels);

        var image = PngReader.Read(folder.File("x.png"));

        (image.Width, image.Height, image.Channels).Should().Be((width, height, channels));
        image.Pixels.ToArray().Should().Equal(pixels);
    }

    [Fact]
    public void Pieces_of_the_image_are_joined_and_other_chunks_left_out()
    {
        var chunks = PngFile.Chunks(Require("rgb").File);
        var image = chunks.Single(chunk => chunk.Type == "IDAT").Data;
        var pieces = image.Chunk(7).Select(piece => ("IDAT", piece));

        var read = PngReader.Read(PngFile.Of([chunks[0], ("gAMA", [0, 0, 1, 2]), .. pieces, ("tEXt", [1, 2]), s_end]));

        read.Pixels.ToArray().Should().Equal(Require("rgb").Pixels);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_is_wrong_is_said()
    {
        var one = PngFile.Header(1, 1, 8, 0);
        var grey = PngFile.Data(0, 200);
        PngReader.Read(PngFile.Of(one, grey, s_end)).Pixels.ToArray().Should().Equal(200);

        Refuse([], "*signature*");
        Refuse("GIF89a, not a PNG"u8.ToArray(), "*signature*4749463839612C20*");
        Refuse(PngFile.Of(grey, s_end), "*'IDAT'*");
        Refuse(PngFile.Of(("IHDR", [1, 2]), grey, s_end), "*13 bytes*2*");
        Refuse(PngFile.Of(PngFile.Header(1, 1, 16, 0), grey, s_end), "*16 bits*");
        Refuse(PngFile.Of(PngFile.Header(1, 1, 4, 2), grey, s_end), "*colour type 2 of 4 bits*");
        Refuse(PngFile.Of(PngFile.Header(1, 1, 8, 1), grey, s_end), "*colour type 1*");
        Refuse(PngFile.Of(PngFile.Header(1, 1, 8, 0, compression: 1), grey, s_end), "*compression 0*1 and 0*");
        Refuse(PngFile.Of(PngFile.Header(1, 1, 8, 0, filter: 2), grey, s_end), "*filtering 0*0 and 2*");
        Refuse(PngFile.Of(PngFile.Header(1, 1, 8, 0, interlace: 1), grey, s_end), "*interlaced*");
        Refuse(PngFile.Of(PngFile.Header(0, 1, 8, 0), grey, s_end), "*0 x 1*");
        Refuse(PngFile.Of(PngFile.Header(1, 0x80000000, 8, 0), grey, s_end), "*1 x 2147483648*");
        Refuse(PngFile.Of(one, grey), "*another chunk*");
        Refuse(PngFile.Of(one, grey, ("NEWS", [1]), s_end), "*'NEWS'*");
        Refuse(PngFile.Of(one, grey, ("tEXt", [1]), grey, s_end), "*consecutive IDAT*");
        Refuse(PngFile.Of(one, s_end), "*0 compressed bytes*");
        Refuse(PngFile.Of(one, PngFile.Data(0), s_end), "*1 rows, got 0*");
        Refuse(PngFile.Of(one, PngFile.Data(0, 1, 2), s_end), "*1 rows, got more*");
        Refuse(PngFile.Of(one, PngFile.Data(5, 1), s_end), "*filters 0 to 4*5*");
        Refuse(PngFile.Of(one, ("tRNS", [0, 1]), grey, s_end), "*transparent colour*");
        Refuse(PngFile.Of(one, ("IDAT", [1, 2, 3, 4, 5, 6, 7, 8]), s_end), "*");

        var palette = PngFile.Header(1, 1, 8, 3);
        Refuse(PngFile.Of(palette, grey, s_end), "*palette of 1 to 256*0 bytes*");
        Refuse(PngFile.Of(palette, ("PLTE", [1, 2]), grey, s_end), "*2 bytes*");
        Refuse(PngFile.Of(palette, ("PLTE", new byte[600]), grey, s_end), "*0..199*200*");
        Refuse(PngFile.Of(palette, ("PLTE", new byte[3]), ("tRNS", [1, 2]), grey, s_end), "*at most 1*2*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void The_file_is_named()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("bad.png");
        File.WriteAllText(path, "nothing");

        FluentActions.Invoking(() => PngReader.Read(path)).Should().Throw<InvalidDataException>().WithMessage($"'{path}'*");
        FluentActions.Invoking(() => PngReader.Read(folder.File("none.png"))).Should().Throw<FileNotFoundException>();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_header_gets_no_memory_that_its_file_cannot_fill()
    {
        (uint Width, uint Height, byte Depth, byte Colour, string Message)[] headers =
        [
            (int.MaxValue, int.MaxValue, 8, 6, "*at most 33554432 pixels*"),
            (20_000, 20_000, 8, 0, "*at most 33554432 pixels*"),
            (int.MaxValue, 1, 1, 0, "*at most 33554432 pixels*"),
            (5_000, 5_000, 8, 6, "*can contain*"),
            (1 << 25, 1, 1, 0, "*can contain*"),
        ];
        foreach (var header in headers)
        {
            var file = PngFile.Of(PngFile.Header(header.Width, header.Height, header.Depth, header.Colour), PngFile.Data(new byte[64]), s_end);
            var before = GC.GetAllocatedBytesForCurrentThread();
            Refuse(file, header.Message);
            (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(4_000_000);
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_small_file_of_a_vast_image_is_refused_before_any_memory_is_taken()
    {
        var file = PngFile.Of(PngFile.Header(12_000, 12_000, 1, 0), PngFile.Data(new byte[12_000 * 1501]), s_end);
        file.Length.Should().BeLessThan(100_000);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Refuse(file, "*at most 33554432 pixels*12000 x 12000*");
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(4_000_000);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_file_with_any_byte_changed_or_cut_is_refused()
    {
        var random = new SplitMix64(1);
        string[] names = [.. Names.Select(row => row.Data)];
        for (var i = 0; i < 4000; i++)
        {
            var file = Require(names[i % names.Length]).File.ToArray();
            if (i % 4 == 0)
                file = file[..random.Below(file.Length)];
            else
                file[random.Below(file.Length)] ^= (byte)(1 + random.Below(255));

            FluentActions.Invoking(() => PngReader.Read(file)).Should().Throw<InvalidDataException>();
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_file_damaged_below_right_checksums_is_read_or_refused_and_takes_little_memory()
    {
        var random = new SplitMix64(2);
        string[] names = [.. Names.Select(row => row.Data)];
        var refused = 0;
        for (var i = 0; i < 4000; i++)
        {
            var chunks = PngFile.Chunks(Require(names[i % names.Length]).File);
            var at = random.Below(chunks.Length);
            var (type, data) = chunks[at];
            data = [.. data];
            for (var n = 0; n <= random.Below(3) && data.Length > 0; n++)
                data[random.Below(data.Length)] = (byte)random.Below(256);
            if (random.Below(4) == 0)
                data = data[..random.Below(data.Length + 1)];
            chunks[at] = (type, data);
            var file = PngFile.Of(chunks);

            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                PngReader.Read(file).Pixels.Length.Should().BePositive();
            }
            catch (InvalidDataException)
            {
                refused++;
            }

            (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(8_000_000);
        }

        refused.Should().BeInRange(1000, 3900);
    }

    private static RecordedPicture Require(string name) => RecordedPicture.Require("recorded-pillow-png.json")[name];

    private static void Refuse(byte[] file, string message)
        => FluentActions.Invoking(() => PngReader.Read(file)).Should().Throw<InvalidDataException>().WithMessage(message);
}
