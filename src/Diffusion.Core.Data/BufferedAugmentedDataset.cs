using System.Buffers;

namespace Diffusion.Core.Data;

/// <summary>Samples that are changed on their way into the caller's memory.</summary>
internal sealed class BufferedAugmentedDataset(IBufferedDataset source, AugmentationChain chain) : IBufferedDataset
{
    public long Count => source.Count;

    public IReadOnlyList<long> SampleShape => chain.OutputShape;

    public LoadThreading Threading => source.Threading;

    public bool HasLabels => source.HasLabels;

    public void Fill(ReadOnlySpan<long> indices, LoadContext context, Span<float> samples, Span<long> labels)
    {
        Batches.CheckFill(this, indices, samples, labels);
        var length = checked((int)(indices.Length * Batches.SizeOf(chain.InputShape)));
        var plain = ArrayPool<float>.Shared.Rent(length);
        var seeds = ArrayPool<ulong>.Shared.Rent(context.Seeds.Length);
        try
        {
            AugmentationChain.SourceSeeds(context.Seeds, seeds);
            var below = new LoadContext(seeds.AsSpan(0, context.Seeds.Length), context.CancellationToken);
            source.Fill(indices, below, plain.AsSpan(0, length), labels);
            chain.Apply(indices, context.Seeds, plain.AsSpan(0, length), chain.InputShape, samples);
        }
        finally
        {
            ArrayPool<float>.Shared.Return(plain);
            ArrayPool<ulong>.Shared.Return(seeds);
        }
    }
}
