using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Data.Tests;

public sealed class MnistTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    public void Images_and_labels_are_those_of_the_files(bool train, bool compressed)
    {
        Idx.WriteMnist(_folder.Path, 12, train, compressed);
        var data = new Mnist(_folder.Path, train ? DataSplit.Train : DataSplit.Test);
        data.Count.Should().Be(12);
        data.SampleShape.Should().Equal(1, 28, 28);

        using var batch = data.Load([11, 0, 5, 5]);

        batch.Samples.shape.Should().Equal(4, 1, 28, 28);
        batch.Samples.dtype.Should().Be(torch.ScalarType.Float32);
        batch.Condition!.Labels!.dtype.Should().Be(torch.ScalarType.Int64);
        batch.Condition.Labels.data<long>().ToArray().Should().Equal(3, 0, 5, 5);
        var expected = new[] { 11, 0, 5, 5 }.SelectMany(n => Enumerable.Range(0, 784).Select(i => (float)((Idx.Pixel(n, i) / 127.5) - 1.0)));
        batch.Samples.data<float>().ToArray().Should().Equal(expected);
    }

    [Theory]
    [InlineData(32, 2)]
    [InlineData(33, 2)]
    [InlineData(64, 18)]
    public void A_larger_image_has_a_black_border(int size, int border)
    {
        Idx.WriteMnist(_folder.Path);
        var data = new Mnist(_folder.Path, options: new MnistOptions { ImageSize = size });
        data.SampleShape.Should().Equal(1, size, size);

        using var batch = data.Load([3]);

        var expected = Enumerable.Range(0, size * size).Select(i =>
        {
            var (y, x) = ((i / size) - border, (i % size) - border);
            return y is >= 0 and < 28 && x is >= 0 and < 28 ? (float)((Idx.Pixel(3, (y * 28) + x) / 127.5) - 1.0) : -1.0f;
        });
        batch.Samples.data<float>().ToArray().Should().Equal(expected);
    }

    [Fact]
    public void Without_labels_none_are_read()
    {
        Idx.WriteMnist(_folder.Path);
        File.Delete(_folder.File("train-labels-idx1-ubyte"));

        using var batch = new Mnist(_folder.Path, options: new MnistOptions { WithLabels = false }).Load([0, 1]);

        batch.Condition.Should().BeNull();
    }

    [Fact]
    public void Loading_leaves_no_tensors()
    {
        Idx.WriteMnist(_folder.Path);
        var data = new Mnist(_folder.Path);

        LiveTensors.Change(() =>
        {
            for (var i = 0; i < 100; i++)
                data.Load([i % 12, 3]).Dispose();
        }).Should().Be(0);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(12)]
    [InlineData(long.MaxValue)]
    [Trait(Category.Name, Category.Fault)]
    public void An_index_outside_is_refused(long index)
    {
        Idx.WriteMnist(_folder.Path);
        var data = new Mnist(_folder.Path);

        var load = () => data.Load([0, index]);

        load.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*0..11*{index}*");
    }

    [Theory]
    [InlineData("train-images-idx3-ubyte")]
    [InlineData("train-labels-idx1-ubyte")]
    [Trait(Category.Name, Category.Fault)]
    public void A_missing_file_is_named_with_what_to_do(string name)
    {
        Idx.WriteMnist(_folder.Path);
        File.Delete(_folder.File(name));

        var open = () => new Mnist(_folder.Path);

        open.Should().Throw<FileNotFoundException>().WithMessage($"*{name}*{_folder.Path}*OpenOrDownload*{DataFolder.Variable}*");
    }

    [Theory]
    [InlineData(new[] { 2, 28, 27 }, new[] { 2 }, "28 x 28")]
    [InlineData(new[] { 2, 784 }, new[] { 2 }, "28 x 28")]
    [InlineData(new[] { 2, 28, 28 }, new[] { 3 }, "dimensions 2, got 3")]
    [InlineData(new[] { 2, 28, 28 }, new[] { 2, 1 }, "dimensions 2, got 2 x 1")]
    [Trait(Category.Name, Category.Fault)]
    public void Files_of_other_dimensions_are_refused(int[] images, int[] labels, string reason)
    {
        Write("train-images-idx3-ubyte", images);
        Write("train-labels-idx1-ubyte", labels);

        var open = () => new Mnist(_folder.Path);

        open.Should().Throw<InvalidDataException>().WithMessage($"*{_folder.Path}*{reason}*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_label_beyond_nine_is_refused()
    {
        Write("train-images-idx3-ubyte", [2, 28, 28]);
        File.WriteAllBytes(_folder.File("train-labels-idx1-ubyte"), Idx.Bytes([2], [9, 10]));

        var open = () => new Mnist(_folder.Path);

        open.Should().Throw<InvalidDataException>().WithMessage("*0..9*10*index 1*");
    }

    [Theory]
    [InlineData(27)]
    [InlineData(2000)]
    [Trait(Category.Name, Category.Fault)]
    public void A_size_that_cannot_be_is_refused(int size)
    {
        Idx.WriteMnist(_folder.Path);

        var open = () => new Mnist(_folder.Path, options: new MnistOptions { ImageSize = size });

        open.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*imageSize*");
    }

    [Fact]
    public void What_is_there_is_opened_without_asking_the_network()
    {
        Idx.WriteMnist(_folder.Path);
        using var mirror = new FakeMirror(_ => null);

        Mnist.OpenOrDownload(
            _folder.Path, options: new MnistOptions { Download = new DownloadOptions { Handler = mirror } }, cancellationToken: TestContext.Current.CancellationToken)
            .Count.Should().Be(12);

        mirror.Asked.Should().BeEmpty();
    }

    [Fact]
    public void Labels_that_are_not_read_are_not_downloaded()
    {
        Idx.WriteMnist(_folder.Path);
        File.Delete(_folder.File("train-labels-idx1-ubyte"));
        using var mirror = new FakeMirror(_ => null);
        var options = new MnistOptions { WithLabels = false, Download = new DownloadOptions { Handler = mirror } };

        Mnist.OpenOrDownload(_folder.Path, options: options, cancellationToken: TestContext.Current.CancellationToken).Count.Should().Be(12);

        mirror.Asked.Should().BeEmpty();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Where_neither_file_nor_network_is_there_the_message_says_what_to_do()
    {
        using var mirror = new FakeMirror(_ => null);

        var open = () => Mnist.OpenOrDownload(
            _folder.File("new"), options: new MnistOptions { Download = new DownloadOptions { Handler = mirror } }, cancellationToken: TestContext.Current.CancellationToken);

        open.Should().Throw<IOException>().WithMessage($"*amazonaws*404*googleapis*404*put train-images*{_folder.Path}*{DataFolder.Variable}*");
        mirror.Asked.Should().HaveCount(2);
        Directory.GetFiles(_folder.File("new")).Should().BeEmpty();
    }

    [Fact]
    public void The_default_folder_follows_the_environment_variable()
    {
        var before = Environment.GetEnvironmentVariable(DataFolder.Variable);
        try
        {
            Environment.SetEnvironmentVariable(DataFolder.Variable, _folder.Path);
            DataFolder.For("mnist").Should().Be(_folder.File("mnist"));
            Environment.SetEnvironmentVariable(DataFolder.Variable, null);
            DataFolder.For("mnist").Should().Be(Path.Combine("data", "mnist"));
        }
        finally
        {
            Environment.SetEnvironmentVariable(DataFolder.Variable, before);
        }
    }

    private void Write(string name, int[] dimensions)
        => File.WriteAllBytes(_folder.File(name), Idx.Bytes(dimensions, new byte[dimensions.Aggregate((a, b) => a * b)]));
}
