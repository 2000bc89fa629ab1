using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

public sealed class ImageFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Files_come_in_the_order_of_their_paths_and_folders_are_classes()
    {
        Grey("b/2.png", 20);
        Grey("b/10.PNG", 10);
        Grey("a/deep/x.png", 30);
        Grey("B/1.png", 40);
        File.WriteAllText(_folder.File("a/notes.txt"), "not an image");

        var data = new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 1, WithLabels = true });

        data.Count.Should().Be(4);
        data.SampleShape.Should().Equal(1, 2, 3);
        data.Classes.Should().Equal("B", "a", "b");
        data.Files.Select(Path.GetFileName).Should().Equal("1.png", "x.png", "10.PNG", "2.png");
        using var batch = data.Load([3, 0, 1, 2]);
        batch.Samples.shape.Should().Equal(4, 1, 2, 3);
        batch.Samples.data<float>().ToArray().Chunk(6).Select(pixels => (int)Math.Round((pixels[0] + 1) * 127.5)).Should().Equal(20, 40, 30, 10);
        batch.Condition!.Labels!.data<long>().ToArray().Should().Equal(2, 0, 1, 2);
        new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 1 }).Load([0]).Condition.Should().BeNull();
    }

    [Fact]
    public void Colours_become_planes_grey_becomes_colours_and_brightness_grey()
    {
        byte[] colours = [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 51, 102, 204];
        Save("x.png", colours, 3);
        Values(new ImageFolder(_folder.Path)).Should().Equal(
            255, 0, 0, 255, 0, 51,
            0, 255, 0, 255, 0, 102,
            0, 0, 255, 255, 0, 204);
        Values(new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 1 })).Should().Equal(76, 150, 29, 255, 0, 98);

        Grey("x.png", 77);
        Values(new ImageFolder(_folder.Path)).Should().Equal(Enumerable.Repeat(77, 18));
    }

    [Fact]
    public void Images_that_are_not_opaque_need_a_background()
    {
        byte[] rows = [0, 100, 255, 200, 0, 50, 128];
        File.WriteAllBytes(_folder.File("x.png"), PngFile.Of(PngFile.Header(3, 1, 8, 4), PngFile.Data(rows), ("IEND", [])));

        Values(new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 1, Background = 255 })).Should().Equal(100, 255, 152);
        Values(new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 1, Background = 0 })).Should().Equal(100, 0, 25);
        var data = new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 1 });
        data.Invoking(it => it.Load([0])).Should().Throw<SampleException>().WithMessage("*x.png'*opaque*").Which.Index.Should().Be(0);
    }

    [Theory]
    [InlineData("rgb-13x9-to-5x4")]
    [InlineData("l-40x23-to-8x8")]
    [InlineData("rgb-5x7-to-16x16")]
    [InlineData("l-9x9-to-9x3")]
    [InlineData("rgb-31x8-to-4x8")]
    [Trait(Category.Name, Category.Golden)]
    public void Images_of_any_size_are_brought_to_one_as_another_library_does(string name)
    {
        var picture = RecordedPicture.Require("recorded-pillow-scaled.json")[name];
        File.WriteAllBytes(_folder.File("x.png"), picture.File);
        Grey("y.png", 50);

        var data = new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = picture.Channels, Size = (picture.Height, picture.Width) });

        data.SampleShape.Should().Equal(picture.Channels, picture.Height, picture.Width);
        var area = picture.Height * picture.Width;
        var expected = Enumerable.Range(0, picture.Pixels.Length).Select(i => (int)picture.Pixels[(i % area * picture.Channels) + (i / area)]);

        // Pillow rounds between rows and columns.
        Values(data).Zip(expected).Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) <= 1);
        using var grey = data.Load([1]);
        grey.Samples.data<float>().ToArray().Should().OnlyContain(value => Math.Round((value + 1) * 127.5) == 50);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_file_that_cannot_be_read_is_named_with_its_index_at_its_step()
    {
        for (var i = 0; i < 8; i++)
            Grey($"{i}.png", i);
        var data = new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 1 });
        var bytes = File.ReadAllBytes(data.Files[5]);
        bytes[^20] ^= 1;
        File.WriteAllBytes(data.Files[5], bytes);
        PngWriter.Save(data.Files[6], new byte[4], 2, 2, 1);
        File.Delete(data.Files[7]);

        using var loader = new BatchLoader<Batch>(data, 1, seed: 0);
        var run = () =>
        {
            for (var step = 0; step < data.Count; step++)
                loader.Next(TestContext.Current.CancellationToken).Dispose();
        };
        var failure = run.Should().Throw<BatchLoadException>().Which;

        failure.Index.Should().BeInRange(5, 7);
        failure.Indices.Should().Equal(failure.Index!.Value);
        failure.Message.Should().Contain($"{failure.Index}.png");
        data.Invoking(it => it.Load([5])).Should().Throw<SampleException>().WithMessage("*5.png' is damaged*").Which.Index.Should().Be(5);
        data.Invoking(it => it.Load([0, 6])).Should().Throw<SampleException>().WithMessage("*6.png' must be 3 x 2*is 2 x 2*").Which.Index.Should().Be(6);
        data.Invoking(it => it.Load([7])).Should().Throw<SampleException>().WithMessage("*7.png*").WithInnerException<FileNotFoundException>();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_folder_that_will_not_do_is_refused()
    {
        FluentActions.Invoking(() => new ImageFolder(_folder.File("none"))).Should().Throw<DirectoryNotFoundException>();
        FluentActions.Invoking(() => new ImageFolder(_folder.Path)).Should().Throw<ArgumentException>().WithMessage("*at least one PNG*");
        Grey("x.png", 1);
        FluentActions.Invoking(() => new ImageFolder(_folder.Path, new ImageFolderOptions { Size = (0, 2) })).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 2 })).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new ImageFolder(_folder.Path, new ImageFolderOptions { WithLabels = true })).Should().Throw<ArgumentException>().WithMessage("*'x.png'*");
        File.WriteAllText(_folder.File("a.png"), "no image");
        FluentActions.Invoking(() => new ImageFolder(_folder.Path)).Should().Throw<SampleException>().WithMessage("*a.png*");
    }

    /// <summary>The labels of two data sets agree although one of them has no image of a class yet.</summary>
    [Fact]
    public void Labels_come_from_the_folders_and_not_from_the_files_in_them()
    {
        Grey("a/1.png", 1);
        Grey("c/1.png", 3);
        Directory.CreateDirectory(_folder.File("b/deep"));
        File.WriteAllText(_folder.File("b/deep/readme.txt"), "pictures follow");
        var options = new ImageFolderOptions { Channels = 1, WithLabels = true };

        FluentActions.Invoking(() => new ImageFolder(_folder.Path, options))
            .Should().Throw<ArgumentException>().WithMessage($"*{_folder.File("b")}*AllowEmptyClasses*");
        var data = new ImageFolder(_folder.Path, options with { AllowEmptyClasses = true });

        data.Classes.Should().Equal("a", "b", "c");
        using var batch = data.Load([0, 1]);
        batch.Condition!.Labels!.data<long>().ToArray().Should().Equal(0, 2);
    }

    [Fact]
    public void A_class_whose_only_image_is_left_out_keeps_its_label()
    {
        Grey("a/1.png", 1);
        Grey("b/1.png", 2);
        Grey("c/1.png", 3);
        File.WriteAllText(_folder.File("b/1.png"), "no image");
        var logger = new ListLogger();
        var options = new ImageFolderOptions { Channels = 1, WithLabels = true, SkipUnreadable = true, Logger = logger };

        var data = new ImageFolder(_folder.Path, options);

        data.Classes.Should().Equal("a", "b", "c");
        data.Files.Select(file => Path.GetRelativePath(_folder.Path, file)).Should().Equal(Path.Combine("a", "1.png"), Path.Combine("c", "1.png"));
        using var batch = data.Load([0, 1]);
        batch.Condition!.Labels!.data<long>().ToArray().Should().Equal(0, 2);
        logger.Warnings.Should().ContainSingle().Which.Should().StartWith("1 of 3 images").And.Contain(Path.Combine("b", "1.png"));
    }

    [Fact]
    public void Verification_names_every_file_that_cannot_be_loaded_and_skipping_leaves_them_out()
    {
        for (var i = 0; i < 6; i++)
            Grey($"{i}.png", i);
        File.WriteAllText(_folder.File("0.png"), "no image");
        PngWriter.Save(_folder.File("4.png"), new byte[4], 2, 2, 1);
        var options = new ImageFolderOptions { Channels = 1, SkipUnreadable = true };

        var data = new ImageFolder(_folder.Path, options);
        PngWriter.Save(_folder.File("5.png"), new byte[4], 2, 2, 1);
        var done = new List<long>();
        var errors = data.Verify(new Collector(done), TestContext.Current.CancellationToken);

        data.Count.Should().Be(4);
        data.SampleShape.Should().Equal(1, 2, 3);
        Values(data).Should().AllBeEquivalentTo(1);
        errors.Should().ContainSingle().Which.Message.Should().Contain("5.png").And.Contain("2 x 2");
        errors[0].Index.Should().Be(3);
        done.Should().BeEquivalentTo([1L, 2L, 3L, 4L]);
        new ImageFolder(_folder.Path, options with { Size = (2, 3) }).Count.Should().Be(5, "images of another size are resized");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Where_no_file_can_be_loaded_the_first_is_the_error()
    {
        File.WriteAllText(_folder.File("a.png"), "no image");
        File.WriteAllText(_folder.File("b.png"), "nor this");

        FluentActions.Invoking(() => new ImageFolder(_folder.Path, new ImageFolderOptions { SkipUnreadable = true }))
            .Should().Throw<SampleException>().WithMessage("*a.png*");
    }

    [Fact]
    public void A_link_to_a_folder_above_is_not_followed_and_others_are()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Links need rights there.");
        Grey("a/1.png", 1);
        Grey("a/b/2.png", 2);
        Grey("c/3.png", 3);
        Directory.CreateSymbolicLink(_folder.File("a/b/up"), "..");
        Directory.CreateSymbolicLink(_folder.File("c/top"), _folder.Path);
        Directory.CreateSymbolicLink(_folder.File("d"), _folder.File("c"));

        var data = new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 1 });

        data.Files.Select(file => Path.GetRelativePath(_folder.Path, file).Replace('\\', '/'))
            .Should().Equal("a/1.png", "a/b/2.png", "c/3.png", "d/3.png");
    }

    [Fact]
    public void Files_are_found_at_any_depth()
    {
        Grey(string.Join('/', Enumerable.Repeat("d", 60)) + "/x.png", 7);

        new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 1 }).Count.Should().Be(1);
    }

    [Fact]
    public void Many_threads_decode_what_one_does()
    {
        for (var i = 0; i < 40; i++)
            Grey($"{i:00}.png", i);
        var data = new ImageFolder(_folder.Path, new ImageFolderOptions { Channels = 1 }).With(Augmentation.Flip(), Augmentation.Crop(2, 3, 1), Augmentation.Dequantise());
        Run(data, workers: 3).Should().Equal(Run(data, workers: 0));
    }

    private static float[] Run(IDataset data, int workers)
    {
        using var loader = new BatchLoader<Batch>(data, 7, seed: 5, options: new LoaderOptions { Workers = workers });
        var values = new List<float>();
        for (var step = 0; step < 30; step++)
        {
            using var batch = loader.Next(TestContext.Current.CancellationToken);
            values.AddRange(batch.Samples.data<float>().ToArray());
        }

        return [.. values];
    }

    private static int[] Values(ImageFolder data)
    {
        using var batch = data.Load([0]);
        return [.. batch.Samples.data<float>().ToArray().Select(value => (int)Math.Round((value + 1) * 127.5))];
    }

    private void Grey(string name, int value) => Save(name, [.. Enumerable.Repeat((byte)value, 6)], 1);

    private void Save(string name, byte[] pixels, int channels) => PngWriter.Save(_folder.File(name), pixels, 3, 2, channels);

    private sealed class Collector(List<long> values) : IProgress<long>
    {
        public void Report(long value)
        {
            lock (values)
                values.Add(value);
        }
    }
}
