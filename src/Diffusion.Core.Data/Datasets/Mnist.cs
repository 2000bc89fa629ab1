using Diffusion.Core.Models;

namespace Diffusion.Core.Data;

/// <summary>
/// The MNIST digits (LeCun, Cortes and Burges): 60,000 training and 10,000 test images of 28 x 28 grey pixels, from their IDX files,
/// plain or gzip. Kept in memory as bytes. Sets of the same form (Fashion-MNIST, KMNIST) read the same way.
/// </summary>
public sealed class Mnist : IBufferedDataset
{
    /// <summary>The number of classes.</summary>
    public const int Classes = 10;

    internal const int OriginalSize = 28;
    private const byte Background = 0;

    private readonly ReadOnlyMemory<byte> _images;
    private readonly ReadOnlyMemory<byte> _labels;

    /// <summary>Reads one of the two sets from a folder; downloads nothing.</summary>
    /// <param name="folder">
    /// Where the files are, under their own names, as <c>train-images-idx3-ubyte</c>, with or without <c>.gz</c>.
    /// </param>
    /// <param name="split">The training set (the default) or the test set.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults.</param>
    /// <exception cref="FileNotFoundException">A file is missing; the message contains what to do.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or does not hold what MNIST holds.</exception>
    public Mnist(string folder, DataSplit split = DataSplit.Train, MnistOptions? options = null)
    {
        options ??= new MnistOptions();
        options.Validate();
        (ImageSize, HasLabels) = (options.ImageSize, options.WithLabels);
        SampleShape = [1, ImageSize, ImageSize];

        var imagesPath = MnistFiles.Require(folder, MnistFiles.Images(split));
        var labelsPath = HasLabels ? MnistFiles.Require(folder, MnistFiles.Labels(split)) : null;
        var images = IdxFile.Read(imagesPath);
        if (images.Dimensions is not [_, OriginalSize, OriginalSize])
            throw new InvalidDataException(
                $"'{imagesPath}' must have dimensions N x 28 x 28, got {string.Join(" x ", images.Dimensions)}.");
        (Count, _images) = (images.Dimensions[0], images.Data);
        if (labelsPath is not null)
            _labels = ReadLabels(labelsPath, images.Dimensions[0]);
    }

    /// <summary>Pixels on a side.</summary>
    public int ImageSize { get; }

    /// <inheritdoc/>
    public long Count { get; }

    /// <inheritdoc/>
    public IReadOnlyList<long> SampleShape { get; }

    /// <inheritdoc/>
    public DataRange? DataRange => Models.DataRange.Images;

    /// <inheritdoc/>
    public LoadThreading Threading => LoadThreading.Concurrent;

    /// <inheritdoc/>
    public bool HasLabels { get; }

    /// <summary>Reads one of the two sets, and downloads what is missing first. Blocks until it is there.</summary>
    /// <param name="folder">Where the files are or shall be; <see cref="DataFolder.For"/> <c>mnist</c> where null.</param>
    /// <param name="split">The training set (the default) or the test set.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults.</param>
    /// <param name="progress">Receives the progress of the download.</param>
    /// <param name="cancellationToken">Stops the download; a file that is not complete is removed.</param>
    /// <exception cref="IOException">Files are missing and cannot be downloaded; the message contains what to do.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or does not hold what MNIST holds.</exception>
    public static Mnist OpenOrDownload(
        string? folder = null,
        DataSplit split = DataSplit.Train,
        MnistOptions? options = null,
        IProgress<DownloadProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new MnistOptions();
        options.Validate();
        folder ??= DataFolder.For(MnistFiles.Name);
        if (MnistFiles.Find(folder, MnistFiles.Images(split)) is null || MnistFiles.Find(folder, MnistFiles.Labels(split)) is null)
            Task.Run(() => DownloadAsync(folder, options.Download, progress, cancellationToken), cancellationToken).GetAwaiter().GetResult();
        return new Mnist(folder, split, options);
    }

    /// <summary>
    /// Downloads the files that a folder lacks, from the public mirrors, and checks them against their known checksums. A file appears
    /// under its name only when it is complete and right.
    /// </summary>
    /// <param name="folder">The folder, created where it is missing.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults.</param>
    /// <param name="progress">Receives the progress.</param>
    /// <param name="cancellationToken">Stops the download; a file that is not complete is removed.</param>
    /// <exception cref="IOException">No mirror sent the right file, or it cannot be written; the message contains what to do.</exception>
    public static async Task DownloadAsync(
        string folder,
        DownloadOptions? options = null,
        IProgress<DownloadProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        using var downloader = new Downloader(options ?? new DownloadOptions(), MnistFiles.Mirrors);
        foreach (var file in MnistFiles.All)
        {
            if (MnistFiles.Find(folder, Path.GetFileNameWithoutExtension(file.Name)) is not null)
                continue;
            try
            {
                await downloader.FetchAsync(file, folder, progress, cancellationToken).ConfigureAwait(false);
            }
            catch (IOException e)
            {
                throw new IOException($"{e.Message} {MnistFiles.Advice(folder)}", e);
            }
        }
    }

    /// <inheritdoc/>
    /// <returns>[B, 1, size, size] float32, -1 black and 1 white, with [B] labels unless the set was opened without.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An index lies outside 0..<see cref="Count"/>-1.</exception>
    /// <exception cref="ArgumentException">There are no indices.</exception>
    public Batch Load(ReadOnlySpan<long> indices) => ((IDataset)this).Load(indices, default);

    /// <inheritdoc/>
    public void Fill(ReadOnlySpan<long> indices, LoadContext context, Span<float> samples, Span<long> labels)
    {
        Batches.CheckFill(this, indices, samples, labels);
        const int Area = OriginalSize * OriginalSize;
        var area = ImageSize * ImageSize;
        var border = (ImageSize - OriginalSize) / 2;
        samples.Fill(ImageBytes.Decode(Background));
        for (var i = 0; i < indices.Length; i++)
        {
            var image = _images.Span.Slice((int)indices[i] * Area, Area);
            for (var y = 0; y < OriginalSize; y++)
            {
                var start = (i * area) + ((y + border) * ImageSize) + border;
                ImageBytes.Decode(image.Slice(y * OriginalSize, OriginalSize), samples.Slice(start, OriginalSize));
            }

            if (HasLabels)
                labels[i] = _labels.Span[(int)indices[i]];
        }
    }

    private static ReadOnlyMemory<byte> ReadLabels(string path, int count)
    {
        var labels = IdxFile.Read(path);
        if (labels.Dimensions.Count != 1 || labels.Dimensions[0] != count)
            throw new InvalidDataException(
                $"'{path}' must have one label for each of {count} images, got dimensions {string.Join(" x ", labels.Dimensions)}.");
        var wrong = labels.Data.Span.IndexOfAnyExceptInRange((byte)0, (byte)(Classes - 1));
        if (wrong >= 0)
            throw new InvalidDataException($"'{path}' must have labels 0..9, got {labels.Data.Span[wrong]} at index {wrong}.");
        return labels.Data;
    }
}

/// <summary>The published parts of a data set.</summary>
public enum DataSplit
{
    /// <summary>The training set.</summary>
    Train,

    /// <summary>The test set.</summary>
    Test,
}

/// <summary>How <see cref="Mnist"/> is read.</summary>
public sealed record MnistOptions
{
    /// <summary>
    /// The side of the images in pixels, 28 to 1024: images are put in the middle of a black square of this size. The default is 28.
    /// </summary>
    public int ImageSize { get; init; } = Mnist.OriginalSize;

    /// <summary>
    /// Whether batches contain the digit as <see cref="Models.Condition.Labels"/>. The default is <see langword="true"/>.
    /// </summary>
    public bool WithLabels { get; init; } = true;

    /// <summary>How <see cref="Mnist.OpenOrDownload"/> downloads. The default is <see langword="null"/>: the default options.</summary>
    public DownloadOptions? Download { get; init; }

    internal void Validate() => Guard.InRange(ImageSize, Mnist.OriginalSize, 1024);
}

/// <summary>The four files of MNIST: names, contents and where they are.</summary>
internal static class MnistFiles
{
    /// <summary>The name of the data set, and of its folder.</summary>
    public const string Name = "mnist";

    /// <summary>All files as they are offered.</summary>
    public static readonly RemoteFile[] All =
    [
        new("train-images-idx3-ubyte.gz", 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        new("train-labels-idx1-ubyte.gz", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        new("t10k-images-idx3-ubyte.gz", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        new("t10k-labels-idx1-ubyte.gz", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ];

    /// <summary>Who offers them.</summary>
    public static readonly Uri[] Mirrors =
    [
        new("https://ossci-datasets.s3.amazonaws.com/mnist/"),
        new("https://storage.googleapis.com/cvdf-datasets/mnist/"),
    ];

    /// <summary>The file of the images, without <c>.gz</c>.</summary>
    public static string Images(DataSplit split) => split == DataSplit.Train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte";

    /// <summary>The file of the labels, without <c>.gz</c>.</summary>
    public static string Labels(DataSplit split) => split == DataSplit.Train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte";

    /// <summary>The path of a file, plain or compressed, or null where there is neither.</summary>
    public static string? Find(string folder, string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        string[] candidates = [Path.Combine(folder, name), Path.Combine(folder, name + ".gz")];
        return Array.Find(candidates, File.Exists);
    }

    /// <summary>The path of a file, plain or compressed.</summary>
    /// <exception cref="FileNotFoundException">There is neither.</exception>
    public static string Require(string folder, string name)
        => Find(folder, name)
            ?? throw new FileNotFoundException(
                $"'{name}' or '{name}.gz' is not in '{folder}'. {Advice(folder)}", Path.Combine(folder, name));

    /// <summary>What to do where the files are missing.</summary>
    public static string Advice(string folder)
        => "Where there is a network, Mnist.OpenOrDownload fetches MNIST; elsewhere, put "
            + $"{string.Join(", ", All.Select(file => file.Name))} into '{Path.GetFullPath(folder)}', or set {DataFolder.Variable} to a folder that holds them in a folder '{Name}'.";
}
