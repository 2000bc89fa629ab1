using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Data.Tests;

public sealed class AugmentTests
{
    private static ReadOnlySpan<ulong> SeedsOf(int count, long epoch = 0)
        => Enumerable.Range(0, count).Select(i => SeedSequence.Mix(7, epoch, i)).ToArray();

    [Fact]
    public void About_half_of_the_images_are_flipped_and_labels_stay()
    {
        const int Count = 4000;
        var data = Images(2, 1, 1, 3).With(Augmentation.Flip());
        long[] indices = [.. Enumerable.Range(0, Count).Select(i => i % 2L)];

        using var batch = data.Load(indices, new LoadContext(SeedsOf(Count)));

        batch.Condition!.Labels!.data<long>().ToArray().Should().Equal(indices.Select(i => 100 + i));
        var flipped = 0;
        foreach (var (row, index) in batch.Samples.data<float>().ToArray().Chunk(3).Zip(indices))
        {
            float[] plain = [3 * index, (3 * index) + 1, (3 * index) + 2];
            flipped += row.SequenceEqual(plain) ? 0 : 1;
            row.Should().BeEquivalentTo(plain).And.Match(values => values.ElementAt(1) == plain[1]);
        }

        // Six standard deviations of a binomial.
        ((double)flipped).Should().BeApproximately(Count / 2.0, 6 * Math.Sqrt(Count / 4.0));
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(1.0)]
    public void Every_row_of_every_channel_is_flipped_or_none(double probability)
    {
        using var batch = Images(1, 2, 3, 4).With(Augmentation.Flip(probability)).Load([0]);
        using var plain = Images(1, 2, 3, 4).Load([0]);
        using var expected = probability == 1 ? plain.Samples.flip(3) : plain.Samples.clone();

        batch.Samples.data<float>().ToArray().Should().Equal(expected.data<float>().ToArray());
    }

    [Theory]
    [InlineData(null)]
    [InlineData(-1f)]
    public void Every_offset_of_a_crop_is_as_likely_and_what_is_added_is_as_asked(float? fill)
    {
        // An image of 4 x 5 widened by 2 has 5 x 5 places for a part of 4 x 5.
        const int Count = 5000;
        using var padded = Padded(fill);
        var places = new Dictionary<string, int>();
        for (var y = 0; y < 5; y++)
        {
            for (var x = 0; x < 5; x++)
            {
                using var scope = NewDisposeScope();
                places[Key(padded.narrow(1, y, 4).narrow(2, x, 5).contiguous().data<float>().ToArray())] = 0;
            }
        }

        places.Should().HaveCount(25);
        var data = Images(1, 2, 4, 5).With(Augmentation.Crop(4, 5, padding: 2, fill));
        data.SampleShape.Should().Equal(2, 4, 5);
        using var batch = data.Load(new long[Count], new LoadContext(SeedsOf(Count)));
        foreach (var image in batch.Samples.data<float>().ToArray().Chunk(40))
            places[Key(image)]++;

        // Pearson's statistic over 25 places: 24 degrees of freedom, 99.99 % quantile 57.
        places.Values.Sum(n => (n - (Count / 25.0)) * (n - (Count / 25.0)) / (Count / 25.0)).Should().BeLessThan(57);
    }

    [Fact]
    public void Parts_may_be_smaller_and_the_middle_is_the_middle()
    {
        var data = Images(1, 1, 5, 6).With(Augmentation.CentreCrop(1, 2));
        data.SampleShape.Should().Equal(1, 1, 2);
        using var middle = data.Load([0]);
        middle.Samples.data<float>().ToArray().Should().Equal(14, 15);

        using var all = Images(1, 1, 2, 2).With(Augmentation.Crop(1, 1)).Load(new long[200], new LoadContext(SeedsOf(200)));
        all.Samples.shape.Should().Equal(200, 1, 1, 1);
        all.Samples.data<float>().ToArray().Distinct().Should().BeEquivalentTo([0f, 1f, 2f, 3f]);
    }

    [Fact]
    public void Dequantised_bytes_are_uniform_over_their_level_and_keep_it()
    {
        using var levels = arange(256, dtype: ScalarType.Float32);
        using var grid = levels.div(127.5).sub(1.0);
        using var images = grid.view(1, 256);
        var data = new TensorDataset(images).With(Augmentation.Dequantise());
        const int Count = 400;

        using var batch = data.Load(new long[Count], new LoadContext(SeedsOf(Count)));

        var noise = new List<double>();
        foreach (var row in batch.Samples.data<float>().ToArray().Chunk(256))
        {
            for (var level = 0; level < 256; level++)
            {
                // Exact in double: the value is a multiple of 2^-24.
                var place = (row[level] + 1.0) * 128.0;
                Math.Floor(place).Should().Be(level);
                noise.Add(place - level);
            }
        }

        noise.Should().OnlyContain(u => u > 0 && u < 1);
        noise.Average().Should().BeApproximately(0.5, 6 * Math.Sqrt(1.0 / 12 / noise.Count));
        noise.Average(u => u * u).Should().BeApproximately(1.0 / 3, 6 * Math.Sqrt(4.0 / 45 / noise.Count));
        // Kolmogorov and Smirnov: sqrt(n) D is above 2.3 once in 20,000.
        noise.Sort();
        noise.Select((u, i) => Math.Abs(u - ((i + 0.5) / noise.Count))).Max().Should().BeLessThan(2.3 / Math.Sqrt(noise.Count));
        noise.Distinct().Should().HaveCountGreaterThan(40_000);
    }

    [Fact]
    public void What_a_sample_becomes_follows_from_seed_epoch_and_index_alone()
    {
        var data = Images(12, 1, 6, 6).With(Augmentation.Crop(6, 6, 2), Augmentation.Flip(), Augmentation.Dequantise());
        var seen = new Dictionary<(int Epoch, long Index), string>();
        foreach (var (size, workers) in (ReadOnlySpan<(int, int)>)[(1, 0), (4, 1), (5, 3), (24, 2)])
        {
            using var loader = new BatchLoader<Batch>(data, size, seed: 3, options: new LoaderOptions { Workers = workers });
            for (var place = 0; place < 120; place += size)
            {
                using var batch = loader.Next(TestContext.Current.CancellationToken);
                foreach (var (image, i) in batch.Samples.data<float>().ToArray().Chunk(36).Select((image, i) => (image, i)))
                {
                    var key = ((place + i) / 12, loader.Indices[i]);
                    if (!seen.TryAdd(key, Key(image)))
                        Key(image).Should().Be(seen[key]);
                }
            }
        }

        seen.Values.Should().OnlyHaveUniqueItems("epochs differ");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(17)]
    public void An_augmented_run_goes_on_where_it_stopped(int first)
    {
        var data = Images(10, 1, 6, 6).With(Augmentation.Crop(5, 5, 2, 0f), Augmentation.Flip(), Augmentation.Dequantise());
        string[] Run(int from, int workers)
        {
            using var loader = new BatchLoader<Batch>(data, 4, seed: 3, new LoaderOptions { Workers = workers, PrefetchFactor = 3, FirstStep = from });
            return [.. Enumerable.Range(from, 20 - from).Select(_ =>
            {
                using var batch = loader.Next(TestContext.Current.CancellationToken);
                return Key(batch.Samples.data<float>().ToArray());
            })];
        }

        Run(first, workers: 3).Should().Equal(Run(0, workers: 0)[first..]);
    }

    [Fact]
    public void Two_layers_of_one_augmentation_draw_apart_and_so_do_two_in_a_row()
    {
        // Were the draws the same, the second flip would always undo the first.
        var plain = Images(1, 1, 1, 3);
        foreach (var data in (IDataset[])[plain.With(Augmentation.Flip()).With(Augmentation.Flip()), plain.With(Augmentation.Flip(), Augmentation.Flip())])
        {
            using var batch = data.Load(new long[400], new LoadContext(SeedsOf(400)));
            batch.Samples.data<float>().ToArray().Chunk(3).Count(row => row[0] != 0).Should().BeInRange(140, 260);
        }
    }

    [Fact]
    public void An_image_in_the_condition_moves_with_the_sample_and_keeps_its_values()
    {
        var data = new Paired();
        var changed = data.With(Augmentation.Crop(3, 3, 1, 0f), Augmentation.Flip(), Augmentation.Dequantise(), Augmentation.Flip());
        using var batch = changed.Load(new long[100], new LoadContext(SeedsOf(100)));

        batch.Condition.Should().BeOfType<Paired.OwnCondition>();
        batch.Condition!.Image!.shape.Should().Equal(100, 2, 3, 3);
        batch.Condition.Labels!.data<long>().ToArray().Should().OnlyContain(label => label == 5);
        var samples = batch.Samples.data<float>().ToArray().Chunk(9).ToArray();
        var images = batch.Condition.Image.data<float>().ToArray().Chunk(18).ToArray();
        for (var i = 0; i < 100; i++)
        {
            for (var p = 0; p < 9; p++)
            {
                // The sample is dequantised, the image is the very same level.
                var level = (float)((Math.Floor((samples[i][p] + 1.0) * 128.0) / 127.5) - 1.0);
                images[i][p].Should().BeApproximately(level == Paired.LevelOfZero ? 0f : level, 1e-6f);
                images[i][9 + p].Should().Be(images[i][p] == 0f ? 0f : images[i][p] + 10);
            }
        }

        images.Select(Key).Distinct().Should().HaveCountGreaterThan(10);
        LiveTensors.Change(() => changed.Load([0, 0]).Dispose()).Should().Be(0);
    }

    [Fact]
    public void Without_seeds_an_index_is_always_changed_in_one_way()
    {
        var data = Images(20, 1, 4, 4).With(Augmentation.Dequantise());
        using var first = data.Load([3, 4]);
        using var second = data.Load([4, 3, 5]);

        first.Samples.data<float>().ToArray()[..16].Should().Equal(second.Samples.data<float>().ToArray()[16..32]);
        first.Samples.data<float>().ToArray()[16..].Should().Equal(second.Samples.data<float>().ToArray()[..16]);
    }

    [Fact]
    public void An_augmented_data_set_has_the_range_of_its_source()
    {
        IDataset buffered = new SyntheticDigits(count: 4);
        IDataset paired = new Paired();

        buffered.With(Augmentation.Flip()).DataRange.Should().Be(Models.DataRange.Images);
        paired.With(Augmentation.Flip()).DataRange.Should().Be(Models.DataRange.Unbounded);
    }

    [Fact]
    public void A_custom_augmentation_works_with_the_others()
    {
        using var batch = Images(1, 1, 2, 2).With(new Doubled(), Augmentation.Flip(1), new Doubled()).Load([0]);

        batch.Samples.data<float>().ToArray().Should().Equal(4, 0, 12, 8);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_does_not_fit_is_refused()
    {
        var images = Images(2, 1, 4, 5);
        var points = PointDataset.TwoMoons(count: 3);
        Refuse(() => images.With(), "*at least one augmentation*");
        Refuse(() => points.With(Augmentation.Flip()), "*[C, H, W]*[2]*");
        Refuse(() => points.With(Augmentation.Crop(1, 1)), "*[C, H, W]*[2]*");
        Refuse(() => images.With(Augmentation.Crop(7, 5, 1)), "*7 x 5*4 x 5*padding of 1*");
        Refuse(() => images.With(Augmentation.Crop(4, 5, 4)), "*at most 3*4*");
        Refuse(() => images.With(Augmentation.Crop(2, 2), Augmentation.Crop(3, 3)), "*3 x 3*2 x 2*");
        Refuse(() => Augmentation.Flip(1.5), "*1.5*");
        Refuse(() => Augmentation.Crop(0, 1), "*height*0*");
        Refuse(() => Augmentation.Crop(1, 1, -1), "*padding*-1*");
        Refuse(() => Augmentation.CentreCrop(1, 0), "*width*0*");
        Refuse(() => new Paired(imageSize: 4).With(Augmentation.Flip()).Load([0]), "*image of the condition*[1, *, 3, 3]*[1, 2, 4, 4]*");
        LiveTensors.Change(() => Refuse(() => new Paired(imageSize: 4).With(Augmentation.Flip()).Load([0]), "*")).Should().Be(0);
    }

    private static void Refuse(Func<object> make, string message) => make.Should().Throw<ArgumentException>().WithMessage(message);

    private static string Key(float[] values) => string.Join(' ', values);

    private static TensorDataset Images(int count, int channels, int height, int width)
    {
        using var scope = NewDisposeScope();
        var images = arange(count * channels * height * width, dtype: ScalarType.Float32).view(count, channels, height, width);
        return new TensorDataset(images, arange(100, 100 + count, dtype: ScalarType.Int64));
    }

    /// <summary>The image 0, 1, 2 ... of [2, 4, 5], widened by 2, by PyTorch.</summary>
    private static Tensor Padded(float? fill)
    {
        using var scope = NewDisposeScope();
        var image = arange(40, dtype: ScalarType.Float32).view(1, 2, 4, 5);
        if (fill is { } value)
        {
            var wide = full([1, 2, 8, 9], value);
            wide.narrow(2, 2, 4).narrow(3, 2, 5).copy_(image);
            return wide.squeeze(0).MoveToOuterDisposeScope();
        }

        long[] Mirror(int length) => [2, 1, .. Enumerable.Range(0, length).Select(i => (long)i), length - 2, length - 3];
        return image.index_select(2, tensor(Mirror(4))).index_select(3, tensor(Mirror(5))).squeeze(0).MoveToOuterDisposeScope();
    }

    private sealed class Doubled : Augmentation
    {
        public override bool MovesPixels => false;

        public override IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape) => shape;

        public override void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random)
        {
            for (var i = 0; i < source.Length; i++)
                result[i] = 2 * source[i];
        }
    }

    /// <summary>Levels 1, 2 ... 9 as a sample of [1, 3, 3]; in the condition the same, and the same plus ten.</summary>
    private sealed class Paired(int imageSize = 3) : IDataset
    {
        public Models.DataRange? DataRange => Models.DataRange.Unbounded;

        /// <summary>What a padding of 0 is taken for when it is dequantised: 127.5 rounds to the even level.</summary>
        public const float LevelOfZero = (float)((128 / 127.5) - 1.0);

        public long Count => 1;

        public IReadOnlyList<long> SampleShape => [1, 3, 3];

        public Batch Load(ReadOnlySpan<long> indices)
        {
            using var scope = NewDisposeScope();
            var sample = arange(1, 10, dtype: ScalarType.Float32).div(127.5).sub(1).view(1, 1, 3, 3);
            var image = imageSize == 3 ? cat([sample, sample.add(10)], 1) : zeros(1, 2, imageSize, imageSize);
            var labels = full([indices.Length], 5, ScalarType.Int64);
            var (x, y) = (sample.expand(indices.Length, 1, 3, 3).contiguous(), image.expand(indices.Length, 2, imageSize, imageSize).contiguous());
            return new Batch(
                x.MoveToOuterDisposeScope(),
                new OwnCondition(Condition.Create(image: y.MoveToOuterDisposeScope(), labels: labels.MoveToOuterDisposeScope())));
        }

        internal sealed class OwnCondition(Condition source) : Condition(source);
    }
}
