using System.Buffers;
using System.Collections.Concurrent;
using Diffusion.Core.Models;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Diffusion.Core.Data;

/// <summary>
/// A data set of the PNG files in a folder and its subfolders, in the ordinal order of their relative paths. Files are read and decoded when
/// their samples are loaded. Several threads may load samples at the same time.
/// </summary>
/// <remarks>
/// Hidden and system files and folders are skipped. Links to folders are followed, except for those to a folder that contains the link.
/// </remarks>
public sealed class ImageFolder : IBufferedDataset
{
    private readonly string[] _files;
    private readonly int[] _labels;
    private readonly byte? _background;
    private readonly bool _scales;
    private readonly int _maxPixels;

    /// <summary>
    /// Finds the files and reads the first one, whose size is that of all samples unless <see cref="ImageFolderOptions.Size"/> is set. With
    /// <see cref="ImageFolderOptions.SkipUnreadable"/>, all files are read.
    /// </summary>
    /// <param name="folder">The folder to search.</param>
    /// <param name="options">The options. The default is a new <see cref="ImageFolderOptions"/>.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="IOException">The folder, or a folder in it, cannot be read.</exception>
    /// <exception cref="ArgumentException">
    /// The folder contains no PNG file, a file is not in the folder of a class although labels are requested, the folder of a class contains no
    /// file, or an option is out of range.
    /// </exception>
    /// <exception cref="SampleException">The first file cannot be read. The message contains its path.</exception>
    public ImageFolder(string folder, ImageFolderOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        options ??= new ImageFolderOptions();
        options.Validate();
        var (channels, size) = (options.Channels, options.Size);
        string[] names = [.. DiskFile.Reading(folder, () => ImageFiles.Find(folder)).Order(StringComparer.Ordinal)];
        if (names.Length == 0)
            throw new ArgumentException($"There must be at least one PNG file in '{folder}', got none.", nameof(folder));
        (_background, HasLabels) = (options.Background, options.WithLabels);
        (_scales, _maxPixels) = (size is not null, options.MaxPixels);
        _files = [.. names.Select(name => Path.Combine(folder, name))];
        (Classes, _labels) = HasLabels ? ClassesOf(folder, names, options.AllowEmptyClasses) : ([], []);
        SampleShape = [channels, size?.Height ?? 0, size?.Width ?? 0];
        var first = options.SkipUnreadable ? FirstReadable() : 0;
        if (size is null)
        {
            var image = ReadFile(first);
            SampleShape = [channels, image.Height, image.Width];
        }
        else if (!options.SkipUnreadable)
        {
            ReadFile(0);
        }

        if (!options.SkipUnreadable)
            return;
        var unreadable = Verify().ToDictionary(error => error.Index);
        if (unreadable.Count == 0)
            return;
        if (unreadable.Count == names.Length)
            throw unreadable[0];
        ImageFolderLog.Skipped(options.Logger, unreadable.Count, names.Length, folder, unreadable.MinBy(pair => pair.Key).Value.Message);
        long[] readable = [.. Enumerable.Range(0, names.Length).Select(i => (long)i).Where(i => !unreadable.ContainsKey(i))];
        _files = [.. readable.Select(i => _files[i])];
        _labels = HasLabels ? [.. readable.Select(i => _labels[i])] : [];
    }

    /// <inheritdoc/>
    public long Count => _files.Length;

    /// <inheritdoc/>
    public IReadOnlyList<long> SampleShape { get; }

    /// <inheritdoc/>
    public DataRange? DataRange => Models.DataRange.Images;

    /// <inheritdoc/>
    public LoadThreading Threading => LoadThreading.Concurrent;

    /// <inheritdoc/>
    public bool HasLabels { get; }

    /// <summary>The names of the classes, indexed by label. It is empty if there are no labels.</summary>
    public IReadOnlyList<string> Classes { get; }

    /// <summary>The paths of the files, indexed by sample.</summary>
    public IReadOnlyList<string> Files => _files;

    /// <inheritdoc/>
    /// <returns>
    /// [B, C, H, W] float32, with -1 for black and 1 for white, and [B] labels if <see cref="HasLabels"/> is <see langword="true"/>. The
    /// caller must dispose the batch.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">An index is not in 0..<see cref="Count"/>-1.</exception>
    /// <exception cref="ArgumentException"><paramref name="indices"/> is empty.</exception>
    public Batch Load(ReadOnlySpan<long> indices) => ((IDataset)this).Load(indices, default);

    /// <inheritdoc/>
    /// <exception cref="SampleException">
    /// A file is missing, damaged, of the wrong size, or not opaque although no background is set. The message contains its path.
    /// </exception>
    public void Fill(ReadOnlySpan<long> indices, LoadContext context, Span<float> samples, Span<long> labels)
    {
        Batches.CheckFill(this, indices, samples, labels);
        var size = (int)Batches.SizeOf(SampleShape);
        for (var i = 0; i < indices.Length; i++)
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            Decode(indices[i], samples.Slice(i * size, size));
            if (HasLabels)
                labels[i] = _labels[indices[i]];
        }
    }

    /// <summary>Reads and decodes every file, on all processors.</summary>
    /// <param name="progress">Receives the number of files that are done. The default is <see langword="null"/>: none.</param>
    /// <param name="cancellationToken">Cancels the verification.</param>
    /// <returns>An exception for each file that cannot be loaded, in the order of their indices. The list is empty if all can be.</returns>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public IReadOnlyList<SampleException> Verify(IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        var errors = new ConcurrentBag<SampleException>();
        var done = 0L;
        var size = (int)Batches.SizeOf(SampleShape);
        Parallel.For(0, _files.Length, new ParallelOptions { CancellationToken = cancellationToken }, index =>
        {
            var sample = ArrayPool<float>.Shared.Rent(size);
            try
            {
                Decode(index, sample.AsSpan(0, size));
            }
            catch (SampleException e)
            {
                errors.Add(e);
            }
            finally
            {
                ArrayPool<float>.Shared.Return(sample);
            }

            progress?.Report(Interlocked.Increment(ref done));
        });
        return [.. errors.OrderBy(error => error.Index)];
    }

    private long FirstReadable()
    {
        SampleException? failure = null;
        for (var index = 0L; index < Count; index++)
        {
            try
            {
                ReadFile(index);
                return index;
            }
            catch (SampleException e)
            {
                failure ??= e;
            }
        }

        throw failure!;
    }

    private static (string[] Classes, int[] Labels) ClassesOf(string folder, string[] names, bool allowsEmpty)
    {
        if (Array.Find(names, name => !name.Contains('/')) is { } loose)
            throw new ArgumentException(
                Invariant($"With labels, every file must be in the folder of its class, got '{loose}' in '{folder}' itself."),
                nameof(folder));
        var owners = names.Select(name => name[..name.IndexOf('/')]).ToArray();
        string[] classes = [.. ImageFiles.Folders(folder).Order(StringComparer.Ordinal)];
        if (!allowsEmpty && classes.Except(owners, StringComparer.Ordinal).FirstOrDefault() is { } empty)
            throw new ArgumentException(
                Invariant($"The folder of every class must contain a PNG file, got none in '{Path.Combine(folder, empty)}'. Set ")
                + $"{nameof(ImageFolderOptions)}.{nameof(ImageFolderOptions.AllowEmptyClasses)} for a class without images.",
                nameof(folder));
        return (classes, [.. owners.Select(owner => Array.BinarySearch(classes, owner, StringComparer.Ordinal))]);
    }

    private void Decode(long index, Span<float> sample)
    {
        var image = ReadFile(index);
        var (channels, height, width) = ((int)SampleShape[0], (int)SampleShape[1], (int)SampleShape[2]);
        try
        {
            ImageBytes.RequireOpaque(image, _background);
        }
        catch (InvalidDataException e)
        {
            throw new SampleException(index, Invariant($"'{_files[index]}' {e.Message}"), e);
        }

        if (image.Height == height && image.Width == width)
            ImageBytes.Decode(image, 0, channels, _background, sample);
        else
            ImageScaling.Cover(image, channels, _background, sample, height, width);
    }

    private PngImage ReadFile(long index)
    {
        try
        {
            return PngReader.Read(_files[index], _maxPixels, (width, height) => CheckSize(index, width, height));
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            throw new SampleException(index, e.Message, e);
        }
    }

    /// <summary>Checks the size of an image before it is decompressed. While the first one is read, the size is still 0.</summary>
    private void CheckSize(long index, int width, int height)
    {
        if (!_scales && SampleShape[1] != 0 && (height != SampleShape[1] || width != SampleShape[2]))
            throw new SampleException(
                index,
                Invariant($"'{_files[index]}' must be {SampleShape[2]} x {SampleShape[1]} pixels like the first image, but is ")
                + Invariant($"{width} x {height}."));
    }
}

/// <summary>The options of <see cref="ImageFolder"/>.</summary>
public sealed record ImageFolderOptions
{
    /// <summary>
    /// The number of channels: 3 for RGB, with equal channels for grey images, or 1 for grey, with colours converted to luma (ITU-R
    /// BT.601). The default is 3.
    /// </summary>
    public int Channels { get; init; } = 3;

    /// <summary>
    /// Whether each subfolder contains the images of a class. Classes are numbered in the ordinal order of the names of all subfolders, and
    /// every file must be in a subfolder. The default is <see langword="false"/>.
    /// </summary>
    public bool WithLabels { get; init; }

    /// <summary>
    /// Whether the folder of a class may contain no file; the class still has a label. The default is <see langword="false"/>: an exception
    /// is thrown.
    /// </summary>
    public bool AllowEmptyClasses { get; init; }

    /// <summary>
    /// Whether files that cannot be loaded are left out, with one warning that contains their number. All files are read when the data set is
    /// created. The default is <see langword="false"/>: loading such a file throws an exception.
    /// </summary>
    public bool SkipUnreadable { get; init; }

    /// <summary>The logger of the warning. The default logs nothing.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;

    /// <summary>
    /// The grey level, 0 to 255, of the background on which transparent images are drawn. The default is <see langword="null"/>: loading an
    /// image that is not opaque throws an exception.
    /// </summary>
    public byte? Background { get; init; }

    /// <summary>
    /// The height and width to which images of any size are resized: the largest centre crop with this aspect ratio is resized with a
    /// triangle filter and rounded to bytes. The default is <see langword="null"/>: all images must have the size of the first one.
    /// </summary>
    public (int Height, int Width)? Size { get; init; }

    /// <summary>
    /// The maximum number of pixels of an image, 1 to 2^28. Loading a larger one throws an exception before it is decompressed, because a
    /// few kilobytes can expand to gigabytes. A file may have at most 5 bytes for each of these pixels and 16 MiB of metadata. The
    /// default is 2^25 = 33,554,432, which is more than 5,792 x 5,792.
    /// </summary>
    public int MaxPixels { get; init; } = PngReader.DefaultMaxPixels;

    internal void Validate()
    {
        Guard.InRange(MaxPixels, 1, 1 << 28);
        if (Channels is not (1 or 3))
            throw new ArgumentOutOfRangeException(nameof(Channels), Channels, Invariant($"There must be 1 or 3 channels, got {Channels}."));
        if (Size is { } size && (size.Height < 1 || size.Width < 1))
            throw new ArgumentOutOfRangeException(nameof(Size), size, Invariant($"Both sizes must be at least 1, got {size}."));
    }
}

/// <summary>Finds the files of a folder of images.</summary>
internal static class ImageFiles
{
    private static readonly EnumerationOptions _enumeration = new() { MatchCasing = MatchCasing.CaseInsensitive, IgnoreInaccessible = false };

    /// <summary>Returns the names of the folders in a folder.</summary>
    public static IEnumerable<string> Folders(string folder)
        => Directory.EnumerateDirectories(folder, "*", _enumeration).Select(path => Path.GetFileName(path)!);

    /// <summary>Returns the paths of the PNG files, relative to the folder, with forward slashes.</summary>
    public static List<string> Find(string folder)
    {
        var found = new List<string>();

        // Folders that are still to be searched, with the real paths of the folders that contain them: a link to one of these is a loop.
        var pending = new Stack<(string Path, string Name, IReadOnlyList<string> Real)>();
        pending.Push((folder, string.Empty, [RealPath(folder, null)]));
        while (pending.TryPop(out var current))
        {
            found.AddRange(Directory.EnumerateFiles(current.Path, "*.png", _enumeration).Select(path => current.Name + Path.GetFileName(path)));
            foreach (var name in Folders(current.Path))
            {
                var path = Path.Combine(current.Path, name);
                var real = RealPath(path, current.Real[^1]);
                if (!current.Real.Contains(real, StringComparer.Ordinal))
                    pending.Push((path, $"{current.Name}{name}/", [.. current.Real, real]));
            }
        }

        return found;
    }

    private static string RealPath(string path, string? parent)
        => Directory.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName.TrimEnd(Path.DirectorySeparatorChar)
            ?? (parent is null ? Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)) : Path.Combine(parent, Path.GetFileName(path)));
}

/// <summary>The messages of <see cref="ImageFolder"/>.</summary>
internal static partial class ImageFolderLog
{
    [LoggerMessage(
        EventId = 1, Level = LogLevel.Warning, Message = "{Skipped} of {Count} images in {Folder} cannot be loaded and are left out, such as: {Example}")]
    public static partial void Skipped(ILogger logger, int skipped, int count, string folder, string example);
}
