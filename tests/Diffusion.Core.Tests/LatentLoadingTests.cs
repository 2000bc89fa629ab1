using Diffusion.Core.Data;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

public class LatentLoadingTests
{
    [Fact]
    public void Latents_are_encoded_on_the_thread_that_trains_and_read_by_others_once_they_are_kept()
    {
        var encoder = new AffineAutoencoder();
        var latents = new LatentDataset(PointDataset.EightGaussians(count: 20), encoder);
        latents.Threading.Should().Be(LoadThreading.Caller);
        var before = Run(latents);

        latents.EncodeAll(cancellationToken: TestContext.Current.CancellationToken);

        latents.Threading.Should().Be(LoadThreading.Concurrent);
        Run(latents).Should().Equal(before);
        var careful = new LatentDataset(new Points(20), encoder);
        careful.EncodeAll(cancellationToken: TestContext.Current.CancellationToken);
        careful.Threading.Should().Be(LoadThreading.OneAtATime, "so are the data below");
    }

    [Fact]
    public void The_data_below_is_told_the_seeds()
    {
        var latents = new LatentDataset(new Seeded(), new AffineAutoencoder());
        using var loader = new BatchLoader<Batch>(latents, 4, seed: 1);
        var seen = new HashSet<float>();
        for (var epoch = 0; epoch < 10; epoch++)
        {
            using var batch = loader.Next(TestContext.Current.CancellationToken);
            seen.UnionWith(batch.Samples.data<float>().ToArray());
        }

        seen.Should().HaveCountGreaterThan(35, "every epoch has draws of its own");
    }

    [Fact]
    public void Loading_latents_leaves_no_tensors()
        => LiveTensors.Change(() => Run(new LatentDataset(new Points(20), new AffineAutoencoder()))).Should().Be(0);

    private static float[] Run(LatentDataset data)
    {
        using var loader = new BatchLoader<Batch>(data, 3, seed: 2, options: new LoaderOptions { Workers = 2 });
        var values = new List<float>();
        for (var step = 0; step < 20; step++)
        {
            using var batch = loader.Next(TestContext.Current.CancellationToken);
            values.AddRange(batch.Samples.data<float>().ToArray());
        }

        return [.. values];
    }

    /// <summary>Four samples that are nothing but their draw.</summary>
    private sealed class Seeded : IBufferedDataset
    {
        public long Count => 4;

        public IReadOnlyList<long> SampleShape => [1];

        public bool HasLabels => false;

        public void Fill(ReadOnlySpan<long> indices, LoadContext context, Span<float> samples, Span<long> labels)
        {
            for (var i = 0; i < indices.Length; i++)
                samples[i] = context.Seeds.IsEmpty ? 0 : context.Seeds[i] * (1f / ulong.MaxValue);
        }
    }
}
