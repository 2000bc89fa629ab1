using System.Buffers;
using Diffusion.Core.Models;

namespace Diffusion.Core.Data;

/// <summary>
/// A data set of the PNG files in a folder and its subfolders, up to 32 levels deep, in the ordinal order of their relative paths. Files
/// are read and decoded when their samples are loaded. Several threads may load samples at the same time.
/// </summary>
public sealed class ImageFolder : IBufferedDataset
{
    private const int DeepestFolder = 32;

    private readonly string[] _files;
    private readonly int[] _labels;
    private readonly byte? _background;
    private readonly bool _scales;

    /// <summary>
    /// Finds the files and reads the first one, whose size is that of all samples unless <see cref="ImageFolderOptions.Size"/> is set.
    /// </summary>
    /// <param name="folder">The folder to search.</param>
    /// <param name="options">The options. The default is a new <see cref="ImageFolderOptions"/>.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="ArgumentException">
    /// The folder contains no PNG file, a file is not in the folder of a class although labels are requested, or an option is out of range.
    /// </exception>
    /// <exception cref="SampleException">The first file cannot be read. The message contains its path.</exception>
    public ImageFolder(string folder, ImageFolderOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        options ??= new ImageFolderOptions();
        options.Validate();
        var (channels, size) = (options.Channels, options.Size);
        var enumeration = new EnumerationOptions
        {
            RecurseSubdirectories = true,
            MaxRecursionDepth = DeepestFolder,
            MatchCasing = MatchCasing.CaseInsensitive,
            IgnoreInaccessible = false,
        };
        var names = Directory.EnumerateFiles(folder, "*.png", enumeration)
            .Select(path => Path.GetRelativePath(folder, path).Replace(Path.DirectorySeparatorChar, '/'))
            .Order(StringComparer.Ordinal)
            .ToArray();
        if (names.Length == 0)
            throw new ArgumentException($"There must be at least one PNG file in '{folder}', got none.", nameof(folder));
        (_background, HasLabels) = (options.Background, options.WithLabels);
        _files = [.. names.Select(name => Path.Combine(folder, name))];
        (Classes, _labels) = HasLabels ? ClassesOf(folder, names) : ([], []);
        var first = ReadFile(0);
        _scales = size is not null;
        SampleShape = [channels, size?.Height ?? first.Height, size?.Width ?? first.Width];
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

    private static (string[] Classes, int[] Labels) ClassesOf(string folder, string[] names)
    {
        if (Array.Find(names, name => !name.Contains('/')) is { } loose)
            throw new ArgumentException(
                $"With labels, every file must be in the folder of its class, got '{loose}' in '{folder}' itself.", nameof(folder));
        var owners = names.Select(name => name[..name.IndexOf('/')]).ToArray();
        string[] classes = [.. owners.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        return (classes, [.. owners.Select(owner => Array.BinarySearch(classes, owner, StringComparer.Ordinal))]);
    }

    private void Decode(long index, Span<float> sample)
    {
        var image = ReadFile(index);
        var (channels, height, width) = ((int)SampleShape[0], (int)SampleShape[1], (int)SampleShape[2]);
        var fits = image.Height == height && image.Width == width;
        if (!fits && !_scales)
            throw new SampleException(
                index,
                $"'{_files[index]}' must be {width} x {height} pixels like the first image, but is {image.Width} x {image.Height}.");
        var scratch = fits ? [] : ArrayPool<float>.Shared.Rent(checked(channels * image.Height * image.Width));
        try
        {
            var planes = fits ? sample : scratch.AsSpan(0, channels * image.Height * image.Width);
            ImageBytes.Decode(image, channels, _background, planes);
            if (!fits)
                ImageScaling.Cover(planes, channels, image.Height, image.Width, sample, height, width);
        }
        catch (InvalidDataException e)
        {
            throw new SampleException(index, $"'{_files[index]}' {e.Message}", e);
        }
        finally
        {
            if (!fits)
                ArrayPool<float>.Shared.Return(scratch);
        }
    }

    private PngImage ReadFile(long index)
    {
        try
        {
            return PngReader.Read(_files[index]);
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            throw new SampleException(index, e.Message, e);
        }
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
    /// Whether each subfolder contains the images of a class. Classes are numbered in the ordinal order of their names, and every file must
    /// be in a subfolder. The default is <see langword="false"/>.
    /// </summary>
    public bool WithLabels { get; init; }

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

    internal void Validate()
    {
        if (Channels is not (1 or 3))
            throw new ArgumentOutOfRangeException(nameof(Channels), Channels, $"There must be 1 or 3 channels, got {Channels}.");
        if (Size is { } size && (size.Height < 1 || size.Width < 1))
            throw new ArgumentOutOfRangeException(nameof(Size), size, $"Both sizes must be at least 1, got {size}.");
    }
}
