using System.Diagnostics.CodeAnalysis;

namespace Diffusion.Core;

/// <summary>
/// A file that appears under its name only when it is complete: written to the same folder under a temporary name, renamed by
/// <see cref="Commit"/>, removed where that was not reached.
/// </summary>
[ExcludeFromCodeCoverage]
internal sealed class AtomicFile : IDisposable
{
    private readonly string _path;
    private readonly string _temporary;
    private readonly FileStream _stream;
    private bool _committed;

    /// <summary>Opens the temporary file, and creates the folder where it is missing.</summary>
    /// <exception cref="IOException">The folder cannot be created or written to.</exception>
    public AtomicFile(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        _path = Path.GetFullPath(path);
        var folder = Path.GetDirectoryName(_path) ?? throw new IOException($"Cannot write '{path}': it names no file.");
        _temporary = Path.Combine(folder, $".{Path.GetFileName(_path)}.{Guid.NewGuid():N}.tmp");
        _stream = DiskFile.Writing(_path, () =>
        {
            if (Directory.Exists(_path))
                throw new IOException("it is a folder");
            Directory.CreateDirectory(folder);
            return new FileStream(_temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None);
        });
    }

    /// <summary>The temporary file.</summary>
    public Stream Stream => _stream;

    /// <summary>Writes a whole file, or nothing.</summary>
    /// <exception cref="IOException">The file cannot be written; an earlier file of that name remains.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        using var file = new AtomicFile(path);
        DiskFile.Writing(path, () =>
        {
            write(file.Stream);
            return true;
        });
        file.Commit();
    }

    /// <summary>Gives the file its name, in place of one that may be there.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Commit()
        => DiskFile.Writing(_path, () =>
        {
            _stream.Flush(flushToDisk: true);
            _stream.Dispose();
            File.Move(_temporary, _path, overwrite: true);
            return _committed = true;
        });

    public void Dispose()
    {
        if (_committed)
            return;
        try
        {
            _stream.Dispose();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException || DiskFile.IsTooLarge(e))
        {
            // What is still in its buffer could not be written either; the first error is the one to report.
        }

        File.Delete(_temporary);
    }
}
