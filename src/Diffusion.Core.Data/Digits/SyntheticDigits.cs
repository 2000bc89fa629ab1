using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Data;

/// <summary>
/// Digits written by the library itself: pen strokes with random form, slant, size, place, thickness and softness, white on black like
/// MNIST. Needs no files; the image of an index follows from (seed, index) alone and is the same on every machine. Images are drawn when
/// they are first loaded and then kept, so that constructing the set takes no time.
/// </summary>
public sealed class SyntheticDigits : IBufferedDataset
{
    /// <summary>The number of classes.</summary>
    public const int Classes = 10;

    private const long ImageStream = 0;
    private const long OrderStream = 1;

    private readonly long _seed;
    private readonly byte[]?[] _images;

    /// <summary>A set of digits.</summary>
    /// <param name="seed">The root of every draw.</param>
    /// <param name="count">The number of images. Every ten in a row, from an index divisible by ten, hold each digit once.</param>
    /// <param name="imageSize">Pixels on a side, 16 to 1024.</param>
    /// <exception cref="ArgumentOutOfRangeException">No images, or a size out of range.</exception>
    public SyntheticDigits(long seed = 0, int count = 60_000, int imageSize = 28)
    {
        Guard.InRange(count, 1, Array.MaxLength);
        Guard.InRange(imageSize, 16, 1024);
        (_seed, ImageSize) = (seed, imageSize);
        _images = new byte[]?[count];
        SampleShape = [1, imageSize, imageSize];
    }

    /// <summary>Pixels on a side.</summary>
    public int ImageSize { get; }

    /// <inheritdoc/>
    public long Count => _images.Length;

    /// <inheritdoc/>
    public IReadOnlyList<long> SampleShape { get; }

    /// <inheritdoc/>
    public DataRange? DataRange => Models.DataRange.Images;

    /// <inheritdoc/>
    public LoadThreading Threading => LoadThreading.Concurrent;

    /// <summary>
    /// Whether batches contain the digit as <see cref="Models.Condition.Labels"/>. The default is <see langword="true"/>.
    /// </summary>
    public bool HasLabels { get; init; } = true;

    /// <summary>The digit at an index, 0..9.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The index lies outside 0..<see cref="Count"/>-1.</exception>
    public int LabelOf(long index)
    {
        Batches.CheckIndices([index], Count);
        Span<int> order = stackalloc int[Classes];
        for (var i = 0; i < Classes; i++)
            order[i] = i;
        var random = new SplitMix64(SeedSequence.Mix(_seed, OrderStream, index / Classes));
        for (var i = Classes - 1; i > 0; i--)
        {
            var j = random.Below(i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }

        return order[(int)(index % Classes)];
    }

    /// <inheritdoc/>
    /// <returns>[B, 1, size, size] float32, -1 without ink and 1 with full ink, with [B] labels unless the set has none.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An index lies outside 0..<see cref="Count"/>-1.</exception>
    /// <exception cref="ArgumentException">There are no indices.</exception>
    public Batch Load(ReadOnlySpan<long> indices) => ((IDataset)this).Load(indices, default);

    /// <inheritdoc/>
    public void Fill(ReadOnlySpan<long> indices, LoadContext context, Span<float> samples, Span<long> labels)
    {
        Batches.CheckFill(this, indices, samples, labels);
        var area = ImageSize * ImageSize;
        var depth = new double[area];
        for (var i = 0; i < indices.Length; i++)
        {
            ImageBytes.Decode(Image(indices[i], depth), samples.Slice(i * area, area));
            if (HasLabels)
                labels[i] = LabelOf(indices[i]);
        }
    }

    /// <summary>Two threads may draw the same image at once: they draw the same bytes, and either may be kept.</summary>
    private byte[] Image(long index, double[] depth)
    {
        if (Volatile.Read(ref _images[index]) is { } known)
            return known;
        var pixels = new byte[depth.Length];
        DigitPen.Draw(LabelOf(index), SeedSequence.Mix(_seed, ImageStream, index), ImageSize, pixels, depth);
        Volatile.Write(ref _images[index], pixels);
        return pixels;
    }
}
