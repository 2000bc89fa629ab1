using System.Diagnostics.CodeAnalysis;

namespace Diffusion.Core;

/// <summary>
/// A file that is created under its name only when it is complete. It is written to the same folder under a temporary name, and
/// <see cref="Commit"/> renames it. Without <see cref="Commit"/>, <see cref="Dispose"/> deletes it.
/// </summary>
[ExcludeFromCodeCoverage]
internal sealed class AtomicFile : IDisposable
{
    private readonly string _path;
    private readonly string _temporary;
    private readonly FileStream _stream;
    private bool _committed;

    /// <summary>Creates the temporary file, and the folder if it does not exist.</summary>
    /// <exception cref="IOException">The folder cannot be created or written to.</exception>
    public AtomicFile(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        _path = Path.GetFullPath(path);
        var folder = Path.GetDirectoryName(_path) ?? throw new IOException($"Cannot write '{path}': the path has no file name.");
        _temporary = Path.Combine(folder, $".{Path.GetFileName(_path)}.{Guid.NewGuid():N}.tmp");
        _stream = DiskFile.Writing(_path, () =>
        {
            if (Directory.Exists(_path))
                throw new IOException("the path is a folder");
            Directory.CreateDirectory(folder);
            return new FileStream(_temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None);
        });
    }

    /// <summary>The stream of the temporary file.</summary>
    public Stream Stream => _stream;

    /// <summary>Writes a complete file, or none.</summary>
    /// <exception cref="IOException">The file cannot be written. An existing file of that name is not changed.</exception>
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

    /// <summary>Renames the temporary file. An existing file of that name is replaced.</summary>
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
            // The buffered data cannot be written either; the first error is the one to report.
        }

        File.Delete(_temporary);
    }
}
