using System.Security.Cryptography;
using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Data.Tests;

public sealed class SyntheticDigitsTests
{
    [Theory]
    [InlineData(0, 28, "384DB5326E2E904813D8A0F73F19E159C097445388DEC2902296AA40AF46562B")]
    [InlineData(0, 16, "E77799BF0B8918A7976D6C152C9F2A5E03A1C388C079D2545715F3D4468DEBB1")]
    [InlineData(0, 32, "2C5A92BDA5ADC2403E5760501A3D71BBC5BCA1B44B27DB1D631F7514E9E124C3")]
    [InlineData(0, 64, "101F41EA6D901E8F0BBE423A3A29502E21427A3DC3350695E8C03F1750D8C6DD")]
    [InlineData(123456789, 28, "B1546124D39A1FA8693FC6A0FAF636679106EC3B747FA6E3C395E092A62E0602")]
    public void The_first_hundred_images_are_the_same_bytes_on_every_machine(long seed, int size, string sha256)
    {
        var data = new SyntheticDigits(seed, imageSize: size);

        using var batch = data.Load(Range(0, 100));

        Convert.ToHexString(SHA256.HashData([.. Bytes(batch), .. Labels(batch).Select(label => (byte)label)])).Should().Be(sha256);
    }

    [Fact]
    public void An_image_depends_on_seed_and_index_alone()
    {
        var (one, other) = (new SyntheticDigits(3, count: 100), new SyntheticDigits(3, count: 60_000));
        using var together = one.Load([17, 4, 17, 99]);
        using var first = other.Load([99]);
        using var second = other.Load([17]);
        using var again = other.Load([17]);

        var area = 28 * 28;
        Values(together)[..area].Should().Equal(Values(second));
        Values(together)[(2 * area)..(3 * area)].Should().Equal(Values(second));
        Values(together)[(3 * area)..].Should().Equal(Values(first));
        Values(again).Should().Equal(Values(second));
        Labels(together).Should().Equal(one.LabelOf(17), one.LabelOf(4), one.LabelOf(17), one.LabelOf(99));
    }

    [Fact]
    public void Another_seed_draws_other_images_in_another_order()
    {
        var (one, other) = (new SyntheticDigits(1), new SyntheticDigits(2));
        using var a = one.Load(Range(0, 50));
        using var b = other.Load(Range(0, 50));

        Labels(a).Should().NotEqual(Labels(b));
        Images(a).Concat(Images(b)).Select(Convert.ToHexString).Should().OnlyHaveUniqueItems();
    }

    [Fact]
    public void Every_ten_in_a_row_hold_each_digit_once_in_changing_order()
    {
        var data = new SyntheticDigits();
        var orders = Range(0, 1000).Select(data.LabelOf).Chunk(10).ToArray();

        orders.Should().AllSatisfy(order => order.Should().BeEquivalentTo([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
        orders.Select(order => string.Concat(order)).Distinct().Should().HaveCount(100);
        // Each digit is in each place a tenth of the time: 10 +- 3 of 100.
        for (var place = 0; place < 10; place++)
            orders.GroupBy(order => order[place]).Should().HaveCount(10).And.OnlyContain(group => group.Count() <= 25);
    }

    [Theory]
    [InlineData(16)]
    [InlineData(28)]
    [InlineData(33)]
    [InlineData(64)]
    public void Images_have_full_ink_somewhere_no_ink_elsewhere_and_none_on_the_border(int size)
    {
        var data = new SyntheticDigits(5, imageSize: size);
        data.SampleShape.Should().Equal(1, size, size);
        using var batch = data.Load(Range(0, 500));
        batch.Samples.shape.Should().Equal(500, 1, size, size);
        batch.Samples.dtype.Should().Be(torch.ScalarType.Float32);

        foreach (var (image, index) in Images(batch).Select((image, index) => (image, index)))
        {
            var ink = image.Average(value => value / 255.0);
            ink.Should().BeInRange(0.02, 0.4, "image {0} is a digit", index);
            image.Max().Should().BeGreaterThan(size < 28 ? (byte)200 : (byte)250, "image {0} has a stroke", index);
            image.Count(value => value == 0).Should().BeGreaterThan(size * size / 3, "image {0} has a ground", index);
            Border(image, size).Should().OnlyContain(value => value <= (size < 28 ? 100 : 0), "image {0} is not cut off", index);
        }
    }

    [Fact]
    public void A_nearest_neighbour_reads_the_digits()
    {
        using var known = new SyntheticDigits(1).Load(Range(0, 2000));
        using var unknown = new SyntheticDigits(2).Load(Range(0, 300));
        using var a = known.Samples.view(2000, 784);
        using var b = unknown.Samples.view(300, 784);
        using var turned = b.transpose(0, 1);
        using var products = a.matmul(turned);
        var product = products.data<float>().ToArray();
        var square = Values(known).Chunk(784).Select(image => image.Sum(value => value * value)).ToArray();
        var labels = Labels(known);

        // |a - b|^2 = |a|^2 - 2 a b + |b|^2, of which the last is the same for all a.
        var read = Enumerable.Range(0, 300).Select(i => labels[Enumerable.Range(0, 2000).MinBy(k => square[k] - (2 * product[(k * 300) + i]))]);

        read.Zip(Labels(unknown)).Count(pair => pair.First == pair.Second).Should().BeGreaterThan(285);
    }

    [Fact]
    public void Digits_of_one_kind_differ()
    {
        var data = new SyntheticDigits();
        using var batch = data.Load([.. Range(0, 2000).Where(i => data.LabelOf(i) == 1)]);

        var images = Images(batch);
        images.Select(Convert.ToHexString).Should().OnlyHaveUniqueItems();
        // Somewhere near the middle, the ink is there about as often as not.
        Enumerable.Range(0, 784).Min(i => Math.Abs(images.Average(image => image[i] / 255.0) - 0.5)).Should().BeLessThan(0.1);
    }

    [Fact]
    public void Without_labels_there_is_no_condition()
    {
        using var batch = new SyntheticDigits() { HasLabels = false }.Load([0]);

        batch.Condition.Should().BeNull();
    }

    [Fact]
    public void Threads_that_load_at_once_see_the_same_images()
    {
        var data = new SyntheticDigits(9, count: 300);
        using var expected = new SyntheticDigits(9, count: 300).Load(Range(0, 300));
        var results = new Batch[4];

        Parallel.For(0, 4, i => results[i] = data.Load(Range(0, 300)));

        foreach (var batch in results)
        {
            using (batch)
                Values(batch).Should().Equal(Values(expected));
        }
    }

    [Fact]
    public void Loading_leaves_no_tensors()
    {
        var data = new SyntheticDigits();

        LiveTensors.Change(() =>
        {
            for (var i = 0; i < 100; i++)
                data.Load([i, 2 * i]).Dispose();
        }).Should().Be(0);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(100)]
    [Trait(Category.Name, Category.Fault)]
    public void An_index_outside_is_refused(long index)
    {
        var data = new SyntheticDigits(count: 100);

        var load = () => data.Load([1, 2, index]);
        var label = () => data.LabelOf(index);

        load.Should().Throw<ArgumentOutOfRangeException>().WithMessage($"*0..99*{index}*");
        label.Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void No_indices_no_images_and_impossible_sizes_are_refused()
    {
        var empty = () => new SyntheticDigits().Load([]);
        var none = () => new SyntheticDigits(count: 0);
        var small = () => new SyntheticDigits(imageSize: 15);

        empty.Should().Throw<ArgumentException>().WithMessage("*at least one index*");
        none.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*count*");
        small.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*imageSize*15*");
    }

    private static long[] Range(int start, int count) => [.. Enumerable.Range(start, count).Select(i => (long)i)];

    private static float[] Values(Batch batch) => batch.Samples.data<float>().ToArray();

    private static long[] Labels(Batch batch) => batch.Condition!.Labels!.data<long>().ToArray();

    private static byte[] Bytes(Batch batch) => [.. Values(batch).Select(value => (byte)Math.Round((value + 1.0) * 127.5))];

    private static byte[][] Images(Batch batch) => [.. Bytes(batch).Chunk((int)(batch.Samples.shape[2] * batch.Samples.shape[3]))];

    private static IEnumerable<byte> Border(byte[] image, int size)
        => Enumerable.Range(0, size).SelectMany(i
            => new[] { image[i], image[((size - 1) * size) + i], image[i * size], image[(i * size) + size - 1] });
}
