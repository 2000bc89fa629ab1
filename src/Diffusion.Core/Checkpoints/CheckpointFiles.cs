using System.Globalization;
using System.Security.Cryptography;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>File and folder operations of checkpoints.</summary>
internal static class CheckpointFiles
{
    /// <summary>
    /// Returns the temporary path of a folder while it is written, replaced or removed: a hidden folder in the same parent folder.
    /// </summary>
    public static string Beside(string folder, string kind)
        => Path.Combine(Path.GetDirectoryName(folder) ?? folder, $".{Path.GetFileName(folder)}.{kind}");

    /// <summary>Removes a folder and its contents, if it exists.</summary>
    public static void Remove(string folder)
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    /// <summary>Like <see cref="Remove"/>, but ignores errors because another error is being reported.</summary>
    public static void TryRemove(string folder)
    {
        try
        {
            Remove(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The original error is the one to report.
        }
    }

    /// <summary>Writes a new file and flushes it to disk.</summary>
    public static void WriteFlushed(string path, byte[] contents)
    {
        if (File.Exists(path))
            throw new IOException($"'{path}' already exists.");
        AtomicFile.Write(path, stream => stream.Write(contents));
    }

    /// <summary>Reads a file.</summary>
    /// <exception cref="CheckpointException">The file cannot be read.</exception>
    public static byte[] Read(string path) => Reading(path, () => DiskFile.ReadBytes(path));

    /// <summary>Returns the name, size and SHA-256 of a file, as a manifest contains them.</summary>
    public static CheckpointFile Describe(string folder, string name)
    {
        using var stream = DiskFile.OpenRead(Path.Combine(folder, name));
        return new CheckpointFile(name, stream.Length, Convert.ToHexStringLower(SHA256.HashData(stream)));
    }

    /// <summary>Verifies the size and the SHA-256 of a file.</summary>
    /// <exception cref="CheckpointException">The file is missing, truncated or damaged.</exception>
    public static void Verify(string folder, CheckpointFile expected)
    {
        var path = Path.Combine(folder, expected.Name);
        var actual = Reading(path, () => Describe(folder, expected.Name));
        if (actual.Size != expected.Size)
            throw new CheckpointException(path, Invariant($"must have {expected.Size} bytes, has {actual.Size}."), null);
        if (actual.Sha256 != expected.Sha256)
            throw new CheckpointException(path, Invariant($"is damaged: its SHA-256 must be {expected.Sha256}, is {actual.Sha256}."), null);
    }

    /// <summary>Runs a function that reads a file, and wraps its errors.</summary>
    /// <exception cref="CheckpointException">The file cannot be read.</exception>
    public static T Reading<T>(string path, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Returns the size of the tensors in bytes, which is nearly the size of the checkpoint.</summary>
    public static long SizeOf(IReadOnlyDictionary<string, Dictionary<string, Tensor>> tensors)
        => tensors.Values.SelectMany(file => file.Values).Sum(tensor => tensor.numel() * tensor.element_size());

    /// <summary>Creates the exception for a checkpoint that cannot be written, with the required and the available disk space.</summary>
    public static CheckpointException CannotBeWritten(string folder, long bytes, Exception cause)
    {
        var free = FreeBytes(folder) is { } left ? string.Create(CultureInfo.InvariantCulture, $", and its disk has {left:N0} free") : "";
        var size = string.Create(CultureInfo.InvariantCulture, $"{bytes:N0}");
        return new CheckpointException(folder, Invariant($"cannot be written: {cause.Message} It takes {size} bytes{free}."), cause)
        {
            RequiredBytes = bytes,
        };
    }

    private static long? FreeBytes(string folder)
    {
        try
        {
            while (!Directory.Exists(folder) && Path.GetDirectoryName(folder) is { } parent)
                folder = parent;
            return new DriveInfo(folder).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }
}
