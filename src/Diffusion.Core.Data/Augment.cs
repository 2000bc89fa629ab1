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
