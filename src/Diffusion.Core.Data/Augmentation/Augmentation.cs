namespace Diffusion.Core.Data;

/// <summary>
/// A random augmentation of samples while batches are loaded: <c>data.With(Augmentation.Flip(), Augmentation.Dequantise())</c>.
/// </summary>
/// <remarks>
/// Derive from this class for a custom augmentation. It must be a pure function of the sample and the random numbers, because several
/// threads call it at the same time.
/// </remarks>
public abstract class Augmentation
{
    /// <summary>
    /// Whether the augmentation is geometric: it moves pixels and does not change their values. A <see cref="Models.Condition.Image"/> is
    /// then augmented together with the sample, with the same random numbers.
    /// </summary>
    public abstract bool MovesPixels { get; }

    /// <summary>Returns the shape of the augmented sample.</summary>
    /// <param name="shape">The shape of a sample without the batch dimension: [C, H, W] for images.</param>
    /// <exception cref="ArgumentException">The augmentation does not support samples of this shape.</exception>
    public abstract IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape);

    /// <summary>Writes the augmented sample.</summary>
    /// <param name="source">The sample, in row-major order.</param>
    /// <param name="shape">The shape of the sample.</param>
    /// <param name="result">The destination, of the size of <see cref="OutputShape"/>. All of it must be written.</param>
    /// <param name="random">
    /// The generator of all random numbers, seeded with (seed of the run, epoch, index of the sample, position of this augmentation in the
    /// list).
    /// </param>
    public abstract void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random);

    /// <summary>Mirrors images horizontally, at random.</summary>
    /// <param name="probability">The probability of mirroring, in [0, 1]. The default is 0.5.</param>
    /// <exception cref="ArgumentOutOfRangeException">The probability is out of range.</exception>
    public static Augmentation Flip(double probability = 0.5) => new HorizontalFlip(Guard.InRange(probability, 0.0, 1.0));

    /// <summary>Crops images at a random position. All positions are equally likely.</summary>
    /// <param name="height">The height of the crop.</param>
    /// <param name="width">The width of the crop.</param>
    /// <param name="padding">The number of rows and columns that are added on each side before cropping. The default is 0.</param>
    /// <param name="fill">
    /// The value of the padding, such as -1 for black. The default is <see langword="null"/>: the image is reflected at its edges.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">A size is less than 1, or the padding is out of range.</exception>
    public static Augmentation Crop(int height, int width, int padding = 0, float? fill = null)
        => new CropAugmentation(
            Positive(height, nameof(height)), Positive(width, nameof(width)), Guard.InRange(padding, 0, 1 << 20), fill, random: true);

    /// <summary>Crops the centre of images. No random numbers are used.</summary>
    /// <param name="height">The height of the crop.</param>
    /// <param name="width">The width of the crop.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is less than 1.</exception>
    public static Augmentation CentreCrop(int height, int width)
        => new CropAugmentation(Positive(height, nameof(height)), Positive(width, nameof(width)), 0, null, random: false);

    /// <summary>
    /// Adds uniform noise to byte data: level k of 0..255, which is k / 127.5 - 1, becomes (k + u) / 128 - 1 with u uniform in (0, 1).
    /// </summary>
    /// <remarks>
    /// Source: Theis et al. 2016, section 3.1; Ho et al. 2019, section 3.1. The scale is that of <c>DequantisedLikelihood</c> in
    /// Diffusion.Core.Evaluation. u is a multiple of 2^-17, so that float32 represents the result exactly, and k can always be recovered by
    /// rounding down. Values between levels are first rounded to the nearest level.
    /// </remarks>
    public static Augmentation Dequantise() => new Dequantisation();

    private static int Positive(int size, string name) => Guard.InRange(size, 1, int.MaxValue, name);
}

/// <summary>Extension methods of <see cref="IDataset"/>.</summary>
public static class DatasetExtensions
{
    /// <summary>
    /// Returns a data set whose samples are augmented in the given order. An augmented sample is a function of (seed of the run, epoch,
    /// index): it differs between epochs, and does not depend on the batch size, the number of threads or resuming. Labels are not changed;
    /// geometric augmentations also apply to an image in the condition. Without seeds, outside training, the augmentation of an index is
    /// always the same.
    /// </summary>
    /// <param name="dataset">The data set.</param>
    /// <param name="augmentations">The augmentations, at least one.</param>
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

/// <summary>Crops an image, after optional padding.</summary>
/// <param name="rows">The height of the crop.</param>
/// <param name="columns">The width of the crop.</param>
/// <param name="padding">The number of rows and columns that are added on each side.</param>
/// <param name="fill">The value of the padding; <see langword="null"/> for reflection that does not repeat the edge.</param>
/// <param name="random">Whether the position is random, rather than the centre.</param>
internal sealed class CropAugmentation(int rows, int columns, int padding, float? fill, bool random) : Augmentation
{
    public override bool MovesPixels => true;

    public override IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape)
    {
        if (shape is not [_, _, _])
            throw new ArgumentException($"Only images [C, H, W] can be cropped, got {Guard.Format([.. shape])}.", nameof(shape));
        if (rows > shape[1] + (2L * padding) || columns > shape[2] + (2L * padding))
            throw new ArgumentException(
                Invariant($"A crop of {rows} x {columns} does not fit into {shape[1]} x {shape[2]} with a padding of {padding}."),
                nameof(shape));
        if (fill is null && padding >= Math.Min(shape[1], shape[2]))
            throw new ArgumentException(
                Invariant($"The padding of {shape[1]} x {shape[2]} by reflection must be at most ")
                    + Invariant($"{Math.Min(shape[1], shape[2]) - 1}, got {padding}."),
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

/// <summary>Mirrors images horizontally with a given probability.</summary>
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

/// <summary>Adds uniform noise of the width of one level to bytes in [-1, 1].</summary>
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
            // The midpoint of one of 2^16 equal intervals, so that none of these operations rounds.
            var noise = ((ushort)bits + 0.5f) / 65536f;
            result[i] = (float)(((level + (double)noise) / 128.0) - 1.0);
        }
    }
}
