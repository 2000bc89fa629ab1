using Diffusion.Core.Models;

namespace Diffusion.Core.Data;

/// <summary>
/// The CIFAR-10 images (Krizhevsky 2009): 50,000 training and 10,000 test images of 3 x 32 x 32 in ten classes. They are read from the
/// files of the binary version, and stored in memory as bytes.
/// </summary>
public sealed class Cifar10 : IBufferedDataset
{
    private const int Size = 32;
    private const int Channels = 3;
    private const int Pixels = Channels * Size * Size;
    private const int Record = 1 + Pixels;
    private const int MostFiles = 5;

    // The original files have 10,000 records.
    private const long MostRecords = 100_000;
    private const string Archive = "cifar-10-batches-bin";

    // Each file is a sequence of records: a label, then the red, green and blue planes.
    private readonly byte[][] _files;
    private readonly long[] _starts;

    /// <summary>Reads the training or test set from a folder. Nothing is downloaded.</summary>
    /// <param name="folder">
    /// The folder of the files, or the folder that contains their folder <c>cifar-10-batches-bin</c>. The last ones of
    /// <c>data_batch_1.bin</c> to <c>data_batch_5.bin</c> may be missing; the training set is then smaller.
    /// </param>
    /// <param name="split">The training set (the default) or the test set.</param>
    /// <exception cref="FileNotFoundException">A file is missing. The message names it.</exception>
    /// <exception cref="IOException">A file is not a regular file, or cannot be read.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged, or has more than 100,000 images. The message contains its path.
    /// </exception>
    public Cifar10(string folder, DataSplit split = DataSplit.Train)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        _files = [.. Find(folder, split == DataSplit.Train).Select(Read)];
        _starts = new long[_files.Length];
        for (var i = 0; i < _files.Length; i++)
        {
            _starts[i] = Count;
            Count += _files[i].Length / Record;
        }
    }

    /// <summary>The names of the classes, indexed by label.</summary>
    public static IReadOnlyList<string> Classes { get; } =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

    /// <inheritdoc/>
    public long Count { get; }

    /// <inheritdoc/>
    public IReadOnlyList<long> SampleShape { get; } = [Channels, Size, Size];

    /// <inheritdoc/>
    public DataRange? DataRange => Models.DataRange.Images;

    /// <inheritdoc/>
    public LoadThreading Threading => LoadThreading.Concurrent;

    /// <summary>
    /// Whether batches contain the class as <see cref="Models.Condition.Labels"/>. The default is <see langword="true"/>.
    /// </summary>
    public bool HasLabels { get; init; } = true;

    /// <inheritdoc/>
    /// <returns>
    /// [B, 3, 32, 32] float32 in [-1, 1], with [B] labels if <see cref="HasLabels"/> is <see langword="true"/>. The caller must dispose the
    /// batch.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">An index is not in 0..<see cref="Count"/>-1.</exception>
    /// <exception cref="ArgumentException"><paramref name="indices"/> is empty.</exception>
    public Batch Load(ReadOnlySpan<long> indices) => ((IDataset)this).Load(indices, default);

    /// <inheritdoc/>
    public void Fill(ReadOnlySpan<long> indices, LoadContext context, Span<float> samples, Span<long> labels)
    {
        Batches.CheckFill(this, indices, samples, labels);
        for (var i = 0; i < indices.Length; i++)
        {
            var found = Array.BinarySearch(_starts, indices[i]);
            var file = found < 0 ? ~found - 1 : found;
            var record = _files[file].AsSpan((int)(indices[i] - _starts[file]) * Record, Record);
            ImageBytes.Decode(record[1..], samples.Slice(i * Pixels, Pixels));
            if (HasLabels)
                labels[i] = record[0];
        }
    }

    private static string[] Find(string folder, bool train)
    {
        string[] names = train ? [.. Enumerable.Range(1, MostFiles).Select(n => $"data_batch_{n}.bin")] : ["test_batch.bin"];
        string[] folders = [folder, Path.Combine(folder, Archive)];
        var place = Array.Find(folders, candidate => File.Exists(Path.Combine(candidate, names[0])))
            ?? throw new FileNotFoundException(
                Invariant($"'{names[0]}' is neither in '{folder}' nor in its subfolder '{Archive}'. Unpack the binary version of CIFAR-10 ")
                    + Invariant($"(https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz) into '{Path.GetFullPath(folder)}'."),
                Path.Combine(folder, names[0]));
        var paths = names.Select(name => Path.Combine(place, name)).ToArray();
        var there = paths.TakeWhile(File.Exists).ToArray();
        var beyond = Array.FindLast(paths, File.Exists)!;
        return Array.IndexOf(paths, beyond) < there.Length
            ? there
            : throw new FileNotFoundException(
                Invariant($"'{paths[there.Length]}' is missing, but '{beyond}' exists."), paths[there.Length]);
    }

    private static byte[] Read(string path)
    {
        var data = DiskFile.ReadBytes(path, MostRecords * Record);
        if (data.Length == 0 || data.Length % Record != 0)
            throw new InvalidDataException(Invariant($"'{path}' must contain whole records of {Record} bytes, got {data.Length} bytes."));
        for (var start = 0; start < data.Length; start += Record)
        {
            if (data[start] >= Classes.Count)
                throw new InvalidDataException(
                    Invariant($"'{path}' must have labels 0..{Classes.Count - 1}, got {data[start]} at image {start / Record}."));
        }

        return data;
    }
}
