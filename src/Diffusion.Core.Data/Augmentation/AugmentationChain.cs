using System.Buffers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Data;

/// <summary>A sequence of augmentations, each with its own random numbers.</summary>
internal sealed class AugmentationChain
{
    // The words that are mixed with the seed of a sample: one for the wrapped data set, and FirstWord + k for augmentation k.
    private const long SourceWord = 0;
    private const long FirstWord = 1;

    private readonly Augmentation[] _augmentations;

    public AugmentationChain(IReadOnlyList<long> shape, IReadOnlyList<Augmentation> augmentations)
    {
        if (augmentations.Count == 0)
            throw new ArgumentException("There must be at least one augmentation, got none.", nameof(augmentations));
        _augmentations = [.. augmentations];
        (InputShape, OutputShape) = (shape, Shapes(shape, onlyMoves: false)[^1]);
    }

    /// <summary>The shape of a sample before augmentation.</summary>
    public IReadOnlyList<long> InputShape { get; }

    /// <summary>The shape of a sample after augmentation.</summary>
    public IReadOnlyList<long> OutputShape { get; }

    /// <summary>Derives the seeds of the wrapped data set, which differ from those of the augmentations.</summary>
    public static void SourceSeeds(ReadOnlySpan<ulong> seeds, Span<ulong> result)
    {
        for (var i = 0; i < seeds.Length; i++)
            result[i] = SeedSequence.Mix((long)seeds[i], SourceWord);
    }

    /// <summary>Augments samples.</summary>
    /// <param name="indices">The indices of the samples.</param>
    /// <param name="seeds">A seed for each sample, or empty for seeds that depend on the index only.</param>
    /// <param name="source">The samples, each of the given shape.</param>
    /// <param name="shape">The shape of a sample: <see cref="InputShape"/>, or that of an image in the condition.</param>
    /// <param name="result">Receives the augmented samples. All of it is written.</param>
    /// <param name="onlyMoves">Whether to skip augmentations that are not geometric.</param>
    public void Apply(
        ReadOnlySpan<long> indices,
        ReadOnlySpan<ulong> seeds,
        ReadOnlySpan<float> source,
        IReadOnlyList<long> shape,
        Span<float> result,
        bool onlyMoves = false)
    {
        var shapes = Shapes(shape, onlyMoves);
        var largest = (int)shapes.Max(Batches.SizeOf);
        var rented = ArrayPool<float>.Shared.Rent(2 * largest);
        try
        {
            var (input, output) = ((int)Batches.SizeOf(shapes[0]), (int)Batches.SizeOf(shapes[^1]));
            for (var i = 0; i < indices.Length; i++)
            {
                var seed = seeds.IsEmpty ? SeedSequence.Mix(0, indices[i]) : seeds[i];
                var final = ApplyOne(seed, source.Slice(i * input, input), shapes, rented, largest, onlyMoves);
                final.CopyTo(result.Slice(i * output, output));
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(rented);
        }
    }

    /// <summary>Returns the shape before the first augmentation and after each one. Skipped augmentations do not change it.</summary>
    public IReadOnlyList<long>[] Shapes(IReadOnlyList<long> shape, bool onlyMoves)
    {
        var shapes = new List<IReadOnlyList<long>> { shape };
        foreach (var augmentation in _augmentations)
            shapes.Add(Applies(augmentation, onlyMoves) ? augmentation.OutputShape(shapes[^1]) : shapes[^1]);
        return [.. shapes];
    }

    private ReadOnlySpan<float> ApplyOne(
        ulong seed, ReadOnlySpan<float> sample, IReadOnlyList<long>[] shapes, float[] scratch, int largest, bool onlyMoves)
    {
        var place = 0;
        for (var k = 0; k < _augmentations.Length; k++)
        {
            if (!Applies(_augmentations[k], onlyMoves))
                continue;
            var result = scratch.AsSpan(place, (int)Batches.SizeOf(shapes[k + 1]));
            var random = new SplitMix64(SeedSequence.Mix((long)seed, FirstWord + k));
            _augmentations[k].Apply(sample, shapes[k], result, ref random);
            sample = result;
            place = largest - place;
        }

        return sample;
    }

    private static bool Applies(Augmentation augmentation, bool onlyMoves) => !onlyMoves || augmentation.MovesPixels;
}
