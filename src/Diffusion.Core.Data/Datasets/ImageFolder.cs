using System.Buffers;
using Diffusion.Core.Models;

namespace Diffusion.Core.Data;

/// <summary>
/// The PNG files of a folder and of the folders in it, in the ordinal order of their paths. Files are read and decoded when their samples
/// are loaded, by as many threads as load.
/// </summary>
public sealed class ImageFolder : IBufferedDataset
{
    private const int DeepestFolder = 32;

    private readonly string[] _files;
    private readonly int[] _labels;
    private readonly byte? _background;
    private readonly bool _scales;

    /// <summary>Finds the files; reads only the first, for the size that all must have unless one is given.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="ArgumentException">
    /// There is no PNG file in it, or one without a class, or the channels are not 1 or 3, or the size is not positive.
    /// </exception>
    /// <exception cref="SampleException">The first file cannot be read; the message names it.</exception>
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

    /// <summary>The names of the classes, by their labels; empty without labels.</summary>
    public IReadOnlyList<string> Classes { get; }

    /// <summary>The paths of the files, by their indices.</summary>
    public IReadOnlyList<string> Files => _files;

    /// <inheritdoc/>
    /// <returns>[B, C, H, W] float32, -1 black and 1 white, with [B] labels where there are any.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An index lies outside 0..<see cref="Count"/>-1.</exception>
    /// <exception cref="ArgumentException">There are no indices.</exception>
    public Batch Load(ReadOnlySpan<long> indices) => ((IDataset)this).Load(indices, default);

    /// <inheritdoc/>
    /// <exception cref="SampleException">
    /// A file is missing or damaged, or not of the right size, or not opaque; the message names it.
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
                $"With labels every file must lie in the folder of its class, got '{loose}' in '{folder}' itself.", nameof(folder));
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
                $"'{_files[index]}' must be {width} x {height} pixels as the first image is, is {image.Width} x {image.Height}.");
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

/// <summary>How <see cref="ImageFolder"/> reads its files.</summary>
public sealed record ImageFolderOptions
{
    /// <summary>
    /// 3 (the default) for red, green and blue, which are equal for grey images; 1 for grey, to which colours are converted by their
    /// brightness (ITU-R BT.601).
    /// </summary>
    public int Channels { get; init; } = 3;

    /// <summary>
    /// Whether the folders in the folder are classes, numbered in the ordinal order of their names, so that every file must be in one. The
    /// default is <see langword="false"/>.
    /// </summary>
    public bool WithLabels { get; init; }

    /// <summary>
    /// The grey, 0 to 255, on which images with transparency are drawn. The default is <see langword="null"/>: such images throw an
    /// exception.
    /// </summary>
    public byte? Background { get; init; }

    /// <summary>
    /// The rows and columns to which images of any size are scaled: the largest part with this aspect ratio is cut from the middle, scaled
    /// with a triangle filter, and rounded to bytes. The default is <see langword="null"/>: all images must have the same size.
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
