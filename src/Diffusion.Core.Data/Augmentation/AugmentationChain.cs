using System.Buffers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Data;

/// <summary>Augmentations one after the other, each with its own draws.</summary>
internal sealed class AugmentationChain
{
    // The words after the seed of a sample: what is given to the data below, and the place of each augmentation from here on.
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

    /// <summary>The shape of a sample before.</summary>
    public IReadOnlyList<long> InputShape { get; }

    /// <summary>The shape of a sample after.</summary>
    public IReadOnlyList<long> OutputShape { get; }

    /// <summary>Seeds for the data below, unlike any used here.</summary>
    public static void SourceSeeds(ReadOnlySpan<ulong> seeds, Span<ulong> result)
    {
        for (var i = 0; i < seeds.Length; i++)
            result[i] = SeedSequence.Mix((long)seeds[i], SourceWord);
    }

    /// <summary>Changes a row of samples.</summary>
    /// <param name="indices">Theirs.</param>
    /// <param name="seeds">One for each, or none.</param>
    /// <param name="source">As many samples of the given shape.</param>
    /// <param name="shape">That of a sample; <see cref="InputShape"/>, or that of an image that goes with it.</param>
    /// <param name="result">As many samples, written whole.</param>
    /// <param name="onlyMoves">Whether to leave out what changes more than places.</param>
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

    /// <summary>The shape after none, one, two ... of the augmentations that apply.</summary>
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
