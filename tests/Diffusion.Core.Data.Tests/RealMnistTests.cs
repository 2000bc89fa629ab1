using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

/// <summary>Against the files that everybody has; skipped where they are not.</summary>
public sealed class RealMnistTests
{
    [Theory]
    [InlineData(true, 60_000, new[] { 5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949 }, new long[] { 5, 0, 4, 1, 9, 2, 1, 3, 1, 4 })]
    [InlineData(false, 10_000, new[] { 980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009 }, new long[] { 7, 2, 1, 0, 4, 1, 4, 9, 5, 9 })]
    public void Counts_and_first_labels_are_the_published_ones(bool train, int count, int[] perClass, long[] first)
    {
        var data = new Mnist(TestData.RequireData("mnist"), train ? DataSplit.Train : DataSplit.Test);
        data.Count.Should().Be(count);

        var histogram = new int[10];
        for (var start = 0L; start < count; start += 1000)
        {
            using var batch = data.Load([.. Enumerable.Range((int)start, 1000).Select(i => (long)i)]);
            foreach (var label in batch.Condition!.Labels!.data<long>().ToArray())
                histogram[label]++;
        }

        histogram.Should().Equal(perClass);
        using var beginning = data.Load([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        beginning.Condition!.Labels!.data<long>().ToArray().Should().Equal(first);
    }

    [Fact]
    public void The_mean_and_deviation_of_the_training_pixels_are_the_published_ones()
    {
        var data = new Mnist(TestData.RequireData("mnist"), options: new MnistOptions { WithLabels = false });
        var (sum, squares) = (0.0, 0.0);
        for (var start = 0; start < 60_000; start += 5000)
        {
            using var batch = data.Load([.. Enumerable.Range(start, 5000).Select(i => (long)i)]);
            foreach (var value in batch.Samples.data<float>().ToArray())
            {
                var ink = (value + 1.0) / 2.0;
                sum += ink;
                squares += ink * ink;
            }
        }

        var mean = sum / (60_000 * 784);
        mean.Should().BeApproximately(0.1307, 5e-5);
        Math.Sqrt((squares / (60_000 * 784)) - (mean * mean)).Should().BeApproximately(0.3081, 5e-5);
    }

    [Fact]
    public void The_known_checksums_are_those_of_the_real_files()
    {
        var folder = TestData.RequireData("mnist");
        using var target = new TemporaryFolder();
        using var mirror = new FakeMirror(address
            => address.Host == "storage.googleapis.com"
                ? new ByteArrayContent(File.ReadAllBytes(Path.Combine(folder, Path.GetFileName(address.AbsolutePath))))
                : null);

        var data = Mnist.OpenOrDownload(
            target.Path, DataSplit.Test, new MnistOptions { Download = new DownloadOptions { Handler = mirror } }, cancellationToken: TestContext.Current.CancellationToken);

        data.Count.Should().Be(10_000);
        Directory.GetFiles(target.Path).Should().HaveCount(4);
        mirror.Asked.Should().HaveCount(8);
    }
}
