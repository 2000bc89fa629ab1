using System.Buffers;
using System.Runtime.InteropServices;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Data;

/// <summary>A data set that augments samples, and images in their conditions, when they are loaded.</summary>
internal sealed class AugmentedDataset(IDataset source, AugmentationChain chain) : IDataset
{
    public long Count => source.Count;

    public IReadOnlyList<long> SampleShape => chain.OutputShape;

    public LoadThreading Threading => source.Threading;

    public DataRange? DataRange => source.DataRange;

    public override string ToString() => $"augmented {source.GetType().Name}";

    public Batch Load(ReadOnlySpan<long> indices) => Load(indices, default);

    public Batch Load(ReadOnlySpan<long> indices, LoadContext context)
    {
        var seeds = new ulong[context.Seeds.Length];
        AugmentationChain.SourceSeeds(context.Seeds, seeds);
        var batch = source.Load(indices, new LoadContext(seeds, context.CancellationToken));
        try
        {
            Guard.Shape(batch.Samples, [indices.Length, .. chain.InputShape], "The samples of the data set");
            if (batch.Condition is { Image: not null } condition)
                ChangeImage(condition, indices, context);
            var changed = Change(batch.Samples, indices, context, onlyMoves: false);
            batch.Samples.Dispose();
            return new Batch(changed, batch.Condition);
        }
        catch
        {
            batch.Dispose();
            throw;
        }
    }

    private void ChangeImage(Condition condition, ReadOnlySpan<long> indices, LoadContext context)
    {
        var image = condition.Image!;
        Guard.Shape(image, [indices.Length, -1, .. chain.InputShape.Skip(1)], "The image of the condition");
        using var changed = Change(image, indices, context, onlyMoves: true);
        // In place, because the condition may be of a derived type, of which no copy can be created here.
        image.set_(changed);
    }

    private Tensor Change(Tensor samples, ReadOnlySpan<long> indices, LoadContext context, bool onlyMoves)
    {
        if (samples.dtype != ScalarType.Float32)
            throw new ArgumentException($"Only Float32 samples and images can be augmented, got {samples.dtype}.", nameof(samples));
        using var scope = NewDisposeScope();
        var packed = samples.contiguous();
        var shape = samples.shape[1..];
        var changed = empty([indices.Length, .. chain.Shapes(shape, onlyMoves)[^1]], ScalarType.Float32);
        chain.Apply(indices, context.Seeds, Values(packed), shape, Values(changed), onlyMoves);
        return changed.MoveToOuterDisposeScope();
    }

    private static Span<float> Values(Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);
}

/// <summary>A data set that augments samples while it writes them to the given memory.</summary>
internal sealed class BufferedAugmentedDataset(IBufferedDataset source, AugmentationChain chain) : IBufferedDataset
{
    public long Count => source.Count;

    public IReadOnlyList<long> SampleShape => chain.OutputShape;

    public LoadThreading Threading => source.Threading;

    public DataRange? DataRange => source.DataRange;

    public override string ToString() => $"augmented {source.GetType().Name}";

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
