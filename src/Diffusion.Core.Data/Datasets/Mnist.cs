using Diffusion.Core.Models;

namespace Diffusion.Core.Data;

/// <summary>
/// The MNIST digits (LeCun, Cortes and Burges): 60,000 training and 10,000 test images of 28 x 28 grey pixels. They are read from IDX
/// files, uncompressed or gzip, and stored in memory as bytes. Data sets with the same format and file names, such as Fashion-MNIST and
/// KMNIST, can be read too.
/// </summary>
public sealed class Mnist : IBufferedDataset
{
    /// <summary>The number of classes.</summary>
    public const int Classes = 10;

    internal const int OriginalSize = 28;
    private const byte Background = 0;

    private readonly ReadOnlyMemory<byte> _images;
    private readonly ReadOnlyMemory<byte> _labels;

    /// <summary>Reads the training or test set from a folder. Nothing is downloaded.</summary>
    /// <param name="folder">
    /// The folder of the files, which have their original names, such as <c>train-images-idx3-ubyte</c>, with or without <c>.gz</c>.
    /// </param>
    /// <param name="split">The training set (the default) or the test set.</param>
    /// <param name="options">The options. The default is a new <see cref="MnistOptions"/>.</param>
    /// <exception cref="FileNotFoundException">A file is missing. The message explains how to obtain it.</exception>
    /// <exception cref="IOException">A file is not a regular file, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or its dimensions or labels are not those of MNIST.</exception>
    public Mnist(string folder, DataSplit split = DataSplit.Train, MnistOptions? options = null)
    {
        options ??= new MnistOptions();
        options.Validate();
        (ImageSize, HasLabels) = (options.ImageSize, options.WithLabels);
        SampleShape = [1, ImageSize, ImageSize];

        var imagesPath = MnistFiles.Require(folder, MnistFiles.Images(split));
        var labelsPath = HasLabels ? MnistFiles.Require(folder, MnistFiles.Labels(split)) : null;
        var images = IdxFile.Read(imagesPath, [-1, OriginalSize, OriginalSize]);
        (Count, _images) = (images.Dimensions[0], images.Data);
        if (labelsPath is not null)
            _labels = ReadLabels(labelsPath, images.Dimensions[0]);
    }

    /// <summary>The height and width of the images in pixels.</summary>
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

    /// <summary>
    /// Reads the training or test set, after downloading missing files. The method blocks until the download is complete.
    /// </summary>
    /// <param name="folder">
    /// The folder of the files. The default is the folder <c>mnist</c> in the folder that the environment variable
    /// <c>DIFFUSION_DATA_DIR</c> specifies, or in <c>data</c> if it is not set.
    /// </param>
    /// <param name="split">The training set (the default) or the test set.</param>
    /// <param name="options">The options. The default is a new <see cref="MnistOptions"/>.</param>
    /// <param name="progress">Receives the progress of the download.</param>
    /// <param name="cancellationToken">Cancels the download. An incomplete file is deleted.</param>
    /// <exception cref="IOException">Files are missing and cannot be downloaded. The message explains how to obtain them.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or its dimensions or labels are not those of MNIST.</exception>
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
        var needsLabels = options.WithLabels && MnistFiles.Find(folder, MnistFiles.Labels(split)) is null;
        if (needsLabels || MnistFiles.Find(folder, MnistFiles.Images(split)) is null)
            Task.Run(() => DownloadAsync(folder, options.Download, progress, cancellationToken), cancellationToken).GetAwaiter().GetResult();
        return new Mnist(folder, split, options);
    }

    /// <summary>
    /// Downloads the files that are missing in a folder, and checks their SHA-256 hashes. A file appears under its name only if it is
    /// complete and its hash is correct.
    /// </summary>
    /// <param name="folder">The folder. It is created if it does not exist.</param>
    /// <param name="options">The options. The default is a new <see cref="DownloadOptions"/>.</param>
    /// <param name="progress">Receives the progress.</param>
    /// <param name="cancellationToken">Cancels the download. An incomplete file is deleted.</param>
    /// <exception cref="IOException">
    /// No mirror sent a file with the correct hash, or a file cannot be written. The message explains what to do.
    /// </exception>
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
                throw new IOException(Invariant($"{e.Message} {MnistFiles.Advice(folder)}"), e);
            }
        }
    }

    /// <inheritdoc/>
    /// <returns>
    /// [B, 1, size, size] float32, with -1 for black and 1 for white, and [B] labels if <see cref="HasLabels"/> is <see langword="true"/>.
    /// The caller must dispose the batch.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">An index is not in 0..<see cref="Count"/>-1.</exception>
    /// <exception cref="ArgumentException"><paramref name="indices"/> is empty.</exception>
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
        var labels = IdxFile.Read(path, [count]);
        var wrong = labels.Data.Span.IndexOfAnyExceptInRange((byte)0, (byte)(Classes - 1));
        if (wrong >= 0)
            throw new InvalidDataException(Invariant($"'{path}' must have labels 0..9, got {labels.Data.Span[wrong]} at index {wrong}."));
        return labels.Data;
    }
}

/// <summary>The predefined parts of a data set.</summary>
public enum DataSplit
{
    /// <summary>The training set.</summary>
    Train,

    /// <summary>The test set.</summary>
    Test,
}

/// <summary>The options of <see cref="Mnist"/>.</summary>
public sealed record MnistOptions
{
    /// <summary>
    /// The height and width of the images in pixels, 28 to 1024. Images are centred on a black background of this size. The default is 28.
    /// </summary>
    public int ImageSize { get; init; } = Mnist.OriginalSize;

    /// <summary>
    /// Whether batches contain the digit as <see cref="Models.Condition.Labels"/>. The default is <see langword="true"/>.
    /// </summary>
    public bool WithLabels { get; init; } = true;

    /// <summary>
    /// The options of the download in <see cref="Mnist.OpenOrDownload"/>. The default is <see langword="null"/>: the default options.
    /// </summary>
    public DownloadOptions? Download { get; init; }

    internal void Validate() => Guard.InRange(ImageSize, Mnist.OriginalSize, 1024);
}

/// <summary>The names, contents and mirrors of the four files of MNIST.</summary>
internal static class MnistFiles
{
    /// <summary>The name of the data set and of its folder.</summary>
    public const string Name = "mnist";

    /// <summary>All files, as they are on the mirrors.</summary>
    public static readonly RemoteFile[] All =
    [
        new("train-images-idx3-ubyte.gz", 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        new("train-labels-idx1-ubyte.gz", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        new("t10k-images-idx3-ubyte.gz", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        new("t10k-labels-idx1-ubyte.gz", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ];

    /// <summary>The mirrors, in the order in which they are tried.</summary>
    public static readonly Uri[] Mirrors =
    [
        new("https://ossci-datasets.s3.amazonaws.com/mnist/"),
        new("https://storage.googleapis.com/cvdf-datasets/mnist/"),
    ];

    /// <summary>Returns the name of the file of images, without <c>.gz</c>.</summary>
    public static string Images(DataSplit split) => split == DataSplit.Train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte";

    /// <summary>Returns the name of the file of labels, without <c>.gz</c>.</summary>
    public static string Labels(DataSplit split) => split == DataSplit.Train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte";

    /// <summary>Returns the path of a file, uncompressed or compressed, or null if neither exists.</summary>
    public static string? Find(string folder, string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        string[] candidates = [Path.Combine(folder, name), Path.Combine(folder, name + ".gz")];
        return Array.Find(candidates, File.Exists);
    }

    /// <summary>Returns the path of a file, uncompressed or compressed.</summary>
    /// <exception cref="FileNotFoundException">Neither file exists.</exception>
    public static string Require(string folder, string name)
        => Find(folder, name)
            ?? throw new FileNotFoundException(
                Invariant($"Neither '{name}' nor '{name}.gz' is in '{folder}'. {Advice(folder)}"), Path.Combine(folder, name));

    /// <summary>Returns instructions for the case that files are missing.</summary>
    public static string Advice(string folder)
        => "With network access, Mnist.OpenOrDownload downloads MNIST. Otherwise, put "
            + $"{string.Join(", ", All.Select(file => file.Name))} into '{Path.GetFullPath(folder)}', "
            + $"or set {DataFolder.Variable} to a folder that contains them in a subfolder '{Name}'.";
}
