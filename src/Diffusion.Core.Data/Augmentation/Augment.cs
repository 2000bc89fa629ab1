namespace Diffusion.Core.Data;

/// <summary>Random changes of the samples of a data set: <c>data.With(Augment.Flip(), Augment.Dequantise())</c>.</summary>
public static class Augment
{
    /// <summary>
    /// A data set with its samples changed, in the order given. What a sample becomes is a function of (seed of the run, epoch, index):
    /// it differs from epoch to epoch, and not with batch size, threads or resuming. Labels stay as they are; an image in the condition
    /// moves with the sample. Loaded outside training, without seeds, each index is always changed in one way.
    /// </summary>
    /// <param name="dataset">The data.</param>
    /// <param name="augmentations">At least one.</param>
    /// <exception cref="ArgumentException">There is no augmentation, or one does not fit the samples.</exception>
    public static IDataset With(this IDataset dataset, params IReadOnlyList<IAugmentation> augmentations)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        ArgumentNullException.ThrowIfNull(augmentations);
        var chain = new AugmentationChain(dataset.SampleShape, augmentations);
        return dataset is IBufferedDataset buffered
            ? new BufferedAugmentedDataset(buffered, chain)
            : new AugmentedDataset(dataset, chain);
    }

    /// <summary>Left and right change sides, in every second image by chance.</summary>
    /// <param name="probability">In [0, 1]: of a change.</param>
    /// <exception cref="ArgumentOutOfRangeException">The probability is out of range.</exception>
    public static IAugmentation Flip(double probability = 0.5) => new HorizontalFlip(Guard.InRange(probability, 0.0, 1.0));

    /// <summary>A part of the image, at a random place of all that there are.</summary>
    /// <param name="height">Rows of the part.</param>
    /// <param name="width">Columns of the part.</param>
    /// <param name="padding">Rows and columns that the image is first widened by on each side.</param>
    /// <param name="fill">The value of what is added: -1 for black. The image is reflected at its edges where null.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is less than 1, or the padding less than 0.</exception>
    public static IAugmentation Crop(int height, int width, int padding = 0, float? fill = null)
        => new Crop(
            Positive(height, nameof(height)), Positive(width, nameof(width)), Guard.InRange(padding, 0, 1 << 20), fill, Random: true);

    /// <summary>The middle of the image; nothing is random.</summary>
    /// <param name="height">Rows of the part.</param>
    /// <param name="width">Columns of the part.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is less than 1.</exception>
    public static IAugmentation CentreCrop(int height, int width)
        => new Crop(Positive(height, nameof(height)), Positive(width, nameof(width)), 0, null, Random: false);

    /// <summary>
    /// Bytes become continuous: level k of 0..255, at k / 127.5 - 1, becomes (k + u) / 128 - 1 with u uniform in (0, 1).
    /// </summary>
    /// <remarks>
    /// Source: Theis et al. 2016, section 3.1; Ho et al. 2019, section 3.1. The same scale as
    /// <c>DequantisedLikelihood</c> of Diffusion.Core.Evaluation. u is a multiple of 2^-17, so that single precision holds the result
    /// exactly and k is always its floor. Values between levels are first rounded to one.
    /// </remarks>
    public static IAugmentation Dequantise() => new Dequantisation();

    private static int Positive(int size, string name) => Guard.InRange(size, 1, int.MaxValue, name);
}

/// <summary>
/// A random change of a sample, made while batches are loaded. Implement it for a change of your own: a pure function of the sample and
/// the draws, called by several threads at once.
/// </summary>
public interface IAugmentation
{
    /// <summary>
    /// Whether pixels only change places. Then a <see cref="Models.Condition.Image"/> is changed with the sample, by the same draws.
    /// </summary>
    bool MovesPixels { get; }

    /// <summary>The shape of what comes out.</summary>
    /// <param name="shape">That of a sample that goes in, without the batch dimension: [C, H, W] for images.</param>
    /// <exception cref="ArgumentException">Samples of this shape cannot be changed so.</exception>
    IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape);

    /// <summary>Writes the changed sample.</summary>
    /// <param name="source">The sample, row by row.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="result">Where to write; as large as <see cref="OutputShape"/> says, and written whole.</param>
    /// <param name="random">
    /// Seeded with (seed of the run, epoch, index of the sample, place of this augmentation among others): take every draw from it.
    /// </param>
    void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random);
}

/// <summary>A part of an image that may first be widened.</summary>
/// <param name="Height">Rows of the part.</param>
/// <param name="Width">Columns of the part.</param>
/// <param name="Padding">Rows and columns added on each side.</param>
/// <param name="Fill">The value of what is added; null for reflection without the edge itself.</param>
/// <param name="Random">Whether at a random place, or else in the middle.</param>
internal sealed record Crop(int Height, int Width, int Padding, float? Fill, bool Random) : IAugmentation
{
    public bool MovesPixels => true;

    public IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape)
    {
        if (shape is not [_, _, _])
            throw new ArgumentException($"Only images [C, H, W] can be cropped, got {Guard.Format([.. shape])}.", nameof(shape));
        if (Height > shape[1] + (2L * Padding) || Width > shape[2] + (2L * Padding))
            throw new ArgumentException(
                $"A part of {Height} x {Width} does not fit into {shape[1]} x {shape[2]} with a padding of {Padding}.", nameof(shape));
        if (Fill is null && Padding >= Math.Min(shape[1], shape[2]))
            throw new ArgumentException(
                $"Reflection adds less than the image has: the padding of {shape[1]} x {shape[2]} must be at most "
                    + $"{Math.Min(shape[1], shape[2]) - 1}, got {Padding}.",
                nameof(shape));
        return [shape[0], Height, Width];
    }

    public void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random)
    {
        var (channels, height, width) = ((int)shape[0], (int)shape[1], (int)shape[2]);
        var (spareRows, spareColumns) = (height + (2 * Padding) - Height, width + (2 * Padding) - Width);
        var top = (Random ? random.Below(spareRows + 1) : spareRows / 2) - Padding;
        var left = (Random ? random.Below(spareColumns + 1) : spareColumns / 2) - Padding;
        for (var channel = 0; channel < channels; channel++)
        {
            var plane = source.Slice(channel * height * width, height * width);
            for (var y = 0; y < Height; y++)
            {
                var row = result.Slice(((channel * Height) + y) * Width, Width);
                if (Fill is { } fill && (top + y < 0 || top + y >= height))
                    row.Fill(fill);
                else
                    CopyRow(plane.Slice(Reflect(top + y, height) * width, width), left, row);
            }
        }
    }

    private void CopyRow(ReadOnlySpan<float> source, int left, Span<float> row)
    {
        for (var x = 0; x < row.Length; x++)
        {
            var at = left + x;
            row[x] = Fill is { } fill && (at < 0 || at >= source.Length) ? fill : source[Reflect(at, source.Length)];
        }
    }

    private static int Reflect(int at, int length) => at < 0 ? -at : at >= length ? (2 * (length - 1)) - at : at;
}

/// <summary>Left and right change sides.</summary>
internal sealed record HorizontalFlip(double Probability) : IAugmentation
{
    public bool MovesPixels => true;

    public IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape)
        => shape is [_, _, _]
            ? shape
            : throw new ArgumentException($"Only images [C, H, W] can be flipped, got {Guard.Format([.. shape])}.", nameof(shape));

    public void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random)
    {
        source.CopyTo(result);
        if (random.Uniform() >= Probability)
            return;
        var width = (int)shape[2];
        for (var start = 0; start < result.Length; start += width)
            result.Slice(start, width).Reverse();
    }
}

/// <summary>Uniform noise of the width of a level on bytes in [-1, 1].</summary>
internal sealed record Dequantisation : IAugmentation
{
    private const int DrawsInBits = 4;

    public bool MovesPixels => false;

    public IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape) => shape;

    public void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random)
    {
        var bits = 0UL;
        for (var i = 0; i < source.Length; i++, bits >>= 16)
        {
            if (i % DrawsInBits == 0)
                bits = random.NextBits();
            var level = Math.Clamp(MathF.Round((source[i] + 1f) * 127.5f), 0f, 255f);
            // The middle of one of 2^16 equal parts: no step of this rounds.
            var noise = ((ushort)bits + 0.5f) / 65536f;
            result[i] = (float)(((level + (double)noise) / 128.0) - 1.0);
        }
    }
}
