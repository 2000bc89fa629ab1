using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Data.Tests;

public sealed class ImageGridTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Path => _folder.File("grid.png");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1, 5, null, 2, 1, 0)]
    [InlineData(3, 5, null, 2, 1, 0)]
    [InlineData(1, 6, 4, 0, 1, 9)]
    [InlineData(3, 6, 1, 1, 2, 255)]
    [InlineData(1, 1, 8, 3, 5, 128)]
    [InlineData(3, 7, 7, 1, 3, 64)]
    public void Every_pixel_is_where_it_belongs(int channels, int count, int? columns, int padding, int scale, byte background)
    {
        const int Height = 3;
        const int Width = 4;
        var values = Enumerable.Range(0, count * channels * Height * Width).Select(i => (float)((i * 53 % 256 / 127.5) - 1.0)).ToArray();
        using var images = tensor(values, [count, channels, Height, Width]);

        ImageGrid.SavePng(images, Path, columns, padding, scale, background);

        var across = Math.Min(columns ?? (int)Math.Ceiling(Math.Sqrt(count)), count);
        var down = (int)Math.Ceiling((double)count / across);
        var png = PngDecoder.Read(Path);
        (png.Width, png.Height, png.Channels).Should().Be(
            (((across * (Width + padding)) + padding) * scale, ((down * (Height + padding)) + padding) * scale, channels));
        var expected = new byte[png.Pixels.Length];
        Array.Fill(expected, background);
        for (var i = 0; i < values.Length; i++)
        {
            var (x, y, c, n) = (i % Width, i / Width % Height, i / (Width * Height) % channels, i / (Width * Height * channels));
            var (left, top) = ((((n % across) * (Width + padding)) + padding + x) * scale, ((n / across * (Height + padding)) + padding + y) * scale);
            for (var pixel = 0; pixel < scale * scale; pixel++)
                expected[((((top + (pixel / scale)) * png.Width) + left + (pixel % scale)) * channels) + c] = (byte)(i * 53 % 256);
        }

        png.Pixels.Should().Equal(expected);
    }

    [Fact]
    public void Values_are_rounded_to_the_nearest_grey_and_clipped()
    {
        using var images = tensor(new[] { -1f, 1f, 0f, -7f, 7f, 0.25f, -0.996f, 0.997f }, [1, 1, 1, 8]);

        ImageGrid.SavePng(images, Path, padding: 0);

        // 127.5 is halfway, and goes to the even neighbour.
        PngDecoder.Read(Path).Pixels.Should().Equal(0, 255, 128, 0, 255, 159, 1, 255);
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Any_floating_point_type_and_any_strides_do(ScalarType type)
    {
        using var values = tensor(new[] { -1f, -0.5f, 0f, 0.5f, 1f, 0.25f }, [1, 1, 2, 3]);
        using var typed = values.to(type);
        using var turned = typed.transpose(2, 3);
        using var leaf = turned.detach().requires_grad_(true);

        ImageGrid.SavePng(leaf, Path, padding: 0);

        var png = PngDecoder.Read(Path);
        (png.Width, png.Height).Should().Be((2, 3));
        png.Pixels.Should().Equal(0, 191, 64, 255, 128, 159);
    }

    [Fact]
    public void Folders_are_made_and_a_picture_is_replaced()
    {
        using var dark = zeros(1, 1, 2, 2).sub_(1);
        using var bright = ones(1, 1, 2, 2);
        var path = System.IO.Path.Combine(_folder.Path, "runs", "one", "grid.png");

        ImageGrid.SavePng(dark, path, padding: 0);
        ImageGrid.SavePng(bright, path, padding: 0);

        PngDecoder.Read(path).Pixels.Should().Equal(255, 255, 255, 255);
        Directory.GetFiles(System.IO.Path.GetDirectoryName(path)!).Should().ContainSingle();
    }

    [Fact]
    public void Saving_leaves_no_tensors_and_the_images_alone()
    {
        using var images = ones(3, 1, 4, 4);

        LiveTensors.Change(() =>
        {
            for (var i = 0; i < 20; i++)
                ImageGrid.SavePng(images, Path);
        }).Should().Be(0);
        images.data<float>().ToArray().Should().OnlyContain(value => value == 1f);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    [Trait(Category.Name, Category.Fault)]
    public void A_value_that_is_not_finite_is_refused_and_what_was_there_stays(float value)
    {
        using var good = ones(2, 1, 2, 2);
        ImageGrid.SavePng(good, Path);
        var before = File.ReadAllBytes(Path);
        using var bad = tensor(new[] { 0f, 0f, 0f, 0f, 0f, value, 0f, 0f }, [2, 1, 2, 2]);

        var save = () => ImageGrid.SavePng(bad, Path);

        save.Should().Throw<ArgumentException>().WithMessage("*finite*image 1*");
        File.ReadAllBytes(Path).Should().Equal(before);
        Directory.GetFiles(_folder.Path).Should().ContainSingle();
    }

    [Theory]
    [InlineData(new long[] { 1, 28, 28 })]
    [InlineData(new long[] { 1, 2, 8, 8 })]
    [InlineData(new long[] { 1, 4, 8, 8 })]
    [InlineData(new long[] { 0, 1, 8, 8 })]
    [InlineData(new long[] { 1, 1, 8, 0 })]
    [Trait(Category.Name, Category.Fault)]
    public void Other_shapes_are_refused(long[] shape)
    {
        using var images = zeros(shape);

        var save = () => ImageGrid.SavePng(images, Path);

        save.Should().Throw<ArgumentException>().WithMessage($"*[{string.Join(", ", shape)}]*");
        File.Exists(Path).Should().BeFalse();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Integers_and_settings_out_of_range_are_refused()
    {
        using var images = zeros(4, 1, 8, 8);
        using var integers = zeros(4, 1, 8, 8, dtype: ScalarType.Int64);
        using var large = zeros(1, 1, 1000, 1000);

        Refuse(() => ImageGrid.SavePng(integers, Path), "*Int64*");
        Refuse(() => ImageGrid.SavePng(images, Path, columns: 0), "*columns*0*");
        Refuse(() => ImageGrid.SavePng(images, Path, padding: -1), "*padding*-1*");
        Refuse(() => ImageGrid.SavePng(images, Path, scale: 0), "*scale*0*");
        Refuse(() => ImageGrid.SavePng(large, Path, scale: 1000), "*too large*");
        Refuse(() => ImageGrid.SavePng(images, " "), "*path*");
        File.Exists(Path).Should().BeFalse();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_place_that_cannot_be_written_is_named()
    {
        using var images = zeros(1, 1, 2, 2);
        File.WriteAllText(_folder.File("file"), "");
        Directory.CreateDirectory(Path);

        var below = () => ImageGrid.SavePng(images, System.IO.Path.Combine(_folder.File("file"), "grid.png"));
        var onto = () => ImageGrid.SavePng(images, Path);

        below.Should().Throw<IOException>().WithMessage("Cannot write*file*grid.png*");
        onto.Should().Throw<IOException>().WithMessage("Cannot write*grid.png*folder*");
        Directory.GetFileSystemEntries(_folder.Path).Should().HaveCount(2);
    }

    private static void Refuse(Action save, string message) => save.Should().Throw<ArgumentException>().WithMessage(message);
}
