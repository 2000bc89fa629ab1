using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

public sealed class Cifar10Tests : IDisposable
{
    private const int Record = 3073;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData("cifar-10-batches-bin")]
    public void Images_of_all_files_come_in_a_row(string inner)
    {
        Write(Path.Combine(inner, "data_batch_1.bin"), 3, 4);
        Write(Path.Combine(inner, "data_batch_2.bin"), 9);
        Write(Path.Combine(inner, "test_batch.bin"), 0);

        var data = new Cifar10(_folder.Path);
        data.Count.Should().Be(3);
        using var batch = data.Load([2, 0, 1]);

        batch.Samples.shape.Should().Equal(3, 3, 32, 32);
        batch.Condition!.Labels!.data<long>().ToArray().Should().Equal(9, 3, 4);
        var expected = new[] { 9, 3, 4 }.SelectMany(Pixels).Select(value => (float)((value / 127.5) - 1.0));
        batch.Samples.data<float>().ToArray().Should().Equal(expected);
        using var test = new Cifar10(_folder.Path, DataSplit.Test) { HasLabels = false }.Load([0]);
        test.Condition.Should().BeNull();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Files_that_are_missing_or_damaged_are_named()
    {
        Refuse<FileNotFoundException>("*data_batch_1.bin*Unpack*");
        Write("data_batch_1.bin", 3);
        Write("data_batch_3.bin", 3);
        Refuse<FileNotFoundException>("*data_batch_2.bin' is missing*data_batch_3.bin*");
        File.Delete(_folder.File("data_batch_3.bin"));
        Write("data_batch_1.bin", 3, 10);
        Refuse<InvalidDataException>("*data_batch_1.bin*0..9*10 at image 1*");
        File.WriteAllBytes(_folder.File("data_batch_1.bin"), new byte[Record + 1]);
        Refuse<InvalidDataException>("*data_batch_1.bin*3073*3074*");
        File.WriteAllBytes(_folder.File("data_batch_1.bin"), []);
        Refuse<InvalidDataException>("*got 0 bytes*");
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    [Trait(Category.Name, Category.Fault)]
    public void An_index_outside_is_refused(long index)
    {
        Write("data_batch_1.bin", 3);

        new Cifar10(_folder.Path).Invoking(it => it.Load([index])).Should().Throw<ArgumentOutOfRangeException>().WithMessage("*0..0*");
    }

    [Fact]
    public void The_real_images_have_the_known_mean_colour_and_all_classes()
    {
        var data = new Cifar10(TestData.RequireData("cifar10"), DataSplit.Test);
        using var batch = data.Load([.. Enumerable.Range(0, 1000).Select(i => (long)i)]);

        batch.Condition!.Labels!.data<long>().ToArray().Distinct().Should().HaveCount(10);

        // Published for all 50,000 training images: .4914, .4822, .4465.
        using var means = batch.Samples.mean([0, 2, 3]);
        means.data<float>().ToArray().Select(mean => (mean + 1.0) / 2.0).Zip([0.4914, 0.4822, 0.4465])
            .Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 0.02);
    }

    private static IEnumerable<int> Pixels(int label) => Enumerable.Range(0, Record - 1).Select(i => ((i / 7) + (31 * label)) % 256);

    private void Write(string name, params int[] labels)
    {
        var path = _folder.File(name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, [.. labels.SelectMany(label => Pixels(label).Prepend(label)).Select(value => (byte)value)]);
    }

    private void Refuse<TException>(string message)
        where TException : Exception
        => FluentActions.Invoking(() => new Cifar10(_folder.Path)).Should().Throw<TException>().WithMessage(message);
}
