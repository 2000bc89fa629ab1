using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Data;

/// <summary>
/// Digits drawn by the library: pen strokes with random shape, slant, size, position, thickness and softness, white on black like MNIST. No
/// files are needed. The image of an index is a function of (seed, index), and is the same on every machine. Images are drawn when they are
/// first loaded, and then stored in memory.
/// </summary>
public sealed class SyntheticDigits : IBufferedDataset
{
    /// <summary>The number of classes.</summary>
    public const int Classes = 10;

    private const long ImageStream = 0;
    private const long OrderStream = 1;

    private readonly long _seed;
    private readonly byte[]?[] _images;

    /// <summary>Creates a set of digits.</summary>
    /// <param name="seed">The seed of all random numbers. The default is 0.</param>
    /// <param name="count">
    /// The number of images. Every ten consecutive images that start at a multiple of ten contain each digit once. The default is 60,000.
    /// </param>
    /// <param name="imageSize">The height and width of the images in pixels, 16 to 1024. The default is 28.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number of images is less than 1, or the size is out of range.</exception>
    public SyntheticDigits(long seed = 0, int count = 60_000, int imageSize = 28)
    {
        Guard.InRange(count, 1, Array.MaxLength);
        Guard.InRange(imageSize, 16, 1024);
        (_seed, ImageSize) = (seed, imageSize);
        _images = new byte[]?[count];
        SampleShape = [1, imageSize, imageSize];
    }

    /// <summary>The height and width of the images in pixels.</summary>
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

    /// <summary>Returns the digit of an index, 0 to 9.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The index is not in 0..<see cref="Count"/>-1.</exception>
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
    /// <returns>
    /// [B, 1, size, size] float32, with -1 for no ink and 1 for full ink, and [B] labels if <see cref="HasLabels"/> is
    /// <see langword="true"/>. The caller must dispose the batch.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">An index is not in 0..<see cref="Count"/>-1.</exception>
    /// <exception cref="ArgumentException"><paramref name="indices"/> is empty.</exception>
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

    /// <summary>Returns the image of an index. Two threads may draw the same image at the same time; they draw the same bytes.</summary>
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
