namespace Diffusion.Core.Data;

/// <summary>
/// A random change of a sample while batches are loaded: <c>data.With(Augmentation.Flip(), Augmentation.Dequantise())</c>.
/// </summary>
/// <remarks>
/// Derive from it for a custom augmentation, which must be a pure function of the sample and the draws: several threads call it at once.
/// </remarks>
public abstract class Augmentation
{
    /// <summary>
    /// Whether pixels only change places. Then a <see cref="Models.Condition.Image"/> is changed with the sample, by the same draws.
    /// </summary>
    public abstract bool MovesPixels { get; }

    /// <summary>The shape of what comes out.</summary>
    /// <param name="shape">That of a sample that goes in, without the batch dimension: [C, H, W] for images.</param>
    /// <exception cref="ArgumentException">Samples of this shape cannot be changed so.</exception>
    public abstract IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape);

    /// <summary>Writes the changed sample.</summary>
    /// <param name="source">The sample, row by row.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="result">The destination, of the size of <see cref="OutputShape"/>, which must be written completely.</param>
    /// <param name="random">
    /// Seeded with (seed of the run, epoch, index of the sample, place of this augmentation among others): take every draw from it.
    /// </param>
    public abstract void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random);

    /// <summary>Left and right change sides, in every second image by chance.</summary>
    /// <param name="probability">In [0, 1]: of a change.</param>
    /// <exception cref="ArgumentOutOfRangeException">The probability is out of range.</exception>
    public static Augmentation Flip(double probability = 0.5) => new HorizontalFlip(Guard.InRange(probability, 0.0, 1.0));

    /// <summary>A part of the image, at a random place of all that there are.</summary>
    /// <param name="height">Rows of the part.</param>
    /// <param name="width">Columns of the part.</param>
    /// <param name="padding">Rows and columns that the image is first widened by on each side.</param>
    /// <param name="fill">The value of what is added: -1 for black. The image is reflected at its edges where null.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is less than 1, or the padding less than 0.</exception>
    public static Augmentation Crop(int height, int width, int padding = 0, float? fill = null)
        => new CropAugmentation(
            Positive(height, nameof(height)), Positive(width, nameof(width)), Guard.InRange(padding, 0, 1 << 20), fill, random: true);

    /// <summary>The middle of the image; nothing is random.</summary>
    /// <param name="height">Rows of the part.</param>
    /// <param name="width">Columns of the part.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is less than 1.</exception>
    public static Augmentation CentreCrop(int height, int width)
        => new CropAugmentation(Positive(height, nameof(height)), Positive(width, nameof(width)), 0, null, random: false);

    /// <summary>
    /// Bytes become continuous: level k of 0..255, at k / 127.5 - 1, becomes (k + u) / 128 - 1 with u uniform in (0, 1).
    /// </summary>
    /// <remarks>
    /// Source: Theis et al. 2016, section 3.1; Ho et al. 2019, section 3.1. The same scale as
    /// <c>DequantisedLikelihood</c> of Diffusion.Core.Evaluation. u is a multiple of 2^-17, so that single precision holds the result
    /// exactly and k is always its floor. Values between levels are first rounded to one.
    /// </remarks>
    public static Augmentation Dequantise() => new Dequantisation();

    private static int Positive(int size, string name) => Guard.InRange(size, 1, int.MaxValue, name);
}

/// <summary>Extension methods of <see cref="IDataset"/>.</summary>
public static class DatasetExtensions
{
    /// <summary>
    /// A data set with its samples changed, in the order given. What a sample becomes is a function of (seed of the run, epoch, index):
    /// it differs from epoch to epoch, and not with batch size, threads or resuming. Labels stay as they are; an image in the condition
    /// moves with the sample. Loaded outside training, without seeds, each index is always changed in one way.
    /// </summary>
    /// <param name="dataset">The data.</param>
    /// <param name="augmentations">At least one.</param>
    /// <exception cref="ArgumentException">There is no augmentation, or one does not fit the samples.</exception>
    public static IDataset With(this IDataset dataset, params IReadOnlyList<Augmentation> augmentations)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        ArgumentNullException.ThrowIfNull(augmentations);
        var chain = new AugmentationChain(dataset.SampleShape, augmentations);
        return dataset is IBufferedDataset buffered
            ? new BufferedAugmentedDataset(buffered, chain)
            : new AugmentedDataset(dataset, chain);
    }
}

/// <summary>A part of an image that may first be widened.</summary>
/// <param name="rows">The rows of the part.</param>
/// <param name="columns">The columns of the part.</param>
/// <param name="padding">The rows and columns added on each side.</param>
/// <param name="fill">The value of the padding; <see langword="null"/> for reflection without the edge itself.</param>
/// <param name="random">Whether the part is at a random place, rather than in the middle.</param>
internal sealed class CropAugmentation(int rows, int columns, int padding, float? fill, bool random) : Augmentation
{
    public override bool MovesPixels => true;

    public override IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape)
    {
        if (shape is not [_, _, _])
            throw new ArgumentException($"Only images [C, H, W] can be cropped, got {Guard.Format([.. shape])}.", nameof(shape));
        if (rows > shape[1] + (2L * padding) || columns > shape[2] + (2L * padding))
            throw new ArgumentException(
                $"A part of {rows} x {columns} does not fit into {shape[1]} x {shape[2]} with a padding of {padding}.", nameof(shape));
        if (fill is null && padding >= Math.Min(shape[1], shape[2]))
            throw new ArgumentException(
                $"Reflection adds less than the image has: the padding of {shape[1]} x {shape[2]} must be at most "
                    + $"{Math.Min(shape[1], shape[2]) - 1}, got {padding}.",
                nameof(shape));
        return [shape[0], rows, columns];
    }

    public override void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 draws)
    {
        var (channels, height, width) = ((int)shape[0], (int)shape[1], (int)shape[2]);
        var (spareRows, spareColumns) = (height + (2 * padding) - rows, width + (2 * padding) - columns);
        var top = (random ? draws.Below(spareRows + 1) : spareRows / 2) - padding;
        var left = (random ? draws.Below(spareColumns + 1) : spareColumns / 2) - padding;
        for (var channel = 0; channel < channels; channel++)
        {
            var plane = source.Slice(channel * height * width, height * width);
            for (var y = 0; y < rows; y++)
            {
                var row = result.Slice(((channel * rows) + y) * columns, columns);
                if (fill is { } value && (top + y < 0 || top + y >= height))
                    row.Fill(value);
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
            row[x] = fill is { } value && (at < 0 || at >= source.Length) ? value : source[Reflect(at, source.Length)];
        }
    }

    private static int Reflect(int at, int length) => at < 0 ? -at : at >= length ? (2 * (length - 1)) - at : at;
}

/// <summary>Left and right change sides.</summary>
internal sealed class HorizontalFlip(double probability) : Augmentation
{
    public override bool MovesPixels => true;

    public override IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape)
        => shape is [_, _, _]
            ? shape
            : throw new ArgumentException($"Only images [C, H, W] can be flipped, got {Guard.Format([.. shape])}.", nameof(shape));

    public override void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random)
    {
        source.CopyTo(result);
        if (random.Uniform() >= probability)
            return;
        var width = (int)shape[2];
        for (var start = 0; start < result.Length; start += width)
            result.Slice(start, width).Reverse();
    }
}

/// <summary>Uniform noise of the width of a level on bytes in [-1, 1].</summary>
internal sealed class Dequantisation : Augmentation
{
    private const int DrawsInBits = 4;

    public override bool MovesPixels => false;

    public override IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape) => shape;

    public override void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random)
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
