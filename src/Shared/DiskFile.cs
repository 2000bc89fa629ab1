using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Diffusion.Core;

/// <summary>
/// Opens files. Every file that is not written by <see cref="AtomicFile"/> is opened here, so that errors have the same types.
/// </summary>
/// <remarks>
/// Only regular files are read: opening a pipe waits for a writer, and a device may have no end. What is read is at most the size of the
/// file when it was opened, and a limit on this size is checked before any memory is allocated.
/// </remarks>
[ExcludeFromCodeCoverage]
internal static class DiskFile
{
    /// <summary>The maximum size of a file of text or JSON, in bytes.</summary>
    public const long MaxTextBytes = 100_000_000;

    private const FileShare Shared = FileShare.Read | FileShare.Delete;

    /// <summary>Opens a file for reading.</summary>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="IOException">The path is not that of a regular file, or the file cannot be opened.</exception>
    /// <exception cref="InvalidDataException">The file is larger than <paramref name="maxBytes"/>.</exception>
    public static FileStream OpenRead(string path, long maxBytes = long.MaxValue, FileShare share = Shared)
        => Opening(path, () =>
        {
            var file = new FileStream(path, FileMode.Open, FileAccess.Read, share);
            try
            {
                RequireSize(path, file.Length, maxBytes);
                return file;
            }
            catch
            {
                file.Dispose();
                throw;
            }
        });

    /// <summary>Opens a file for reading at given positions.</summary>
    /// <inheritdoc cref="OpenRead"/>
    public static SafeFileHandle OpenHandle(string path)
        => Opening(path, () => File.OpenHandle(path, FileMode.Open, FileAccess.Read, Shared));

    /// <summary>Reads a whole file.</summary>
    /// <inheritdoc cref="OpenRead"/>
    public static byte[] ReadBytes(string path, long maxBytes = MaxTextBytes, FileShare share = Shared)
    {
        using var file = OpenRead(path, Math.Min(maxBytes, Array.MaxLength), share);
        return Reading(path, () =>
        {
            var bytes = new byte[file.Length];
            var count = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            return count == bytes.Length ? bytes : bytes[..count];
        });
    }

    /// <summary>Reads a whole file of text, in UTF-8 unless it starts with another byte order mark.</summary>
    /// <inheritdoc cref="OpenRead"/>
    public static string ReadText(string path, long maxBytes = MaxTextBytes)
    {
        using var text = new StreamReader(new MemoryStream(ReadBytes(path, maxBytes)));
        return text.ReadToEnd();
    }

    /// <summary>Appends a record to a file in one call of the operating system, and creates the file if it does not exist.</summary>
    /// <exception cref="IOException">The record cannot be written. The file is unchanged.</exception>
    public static void Append(string path, byte[] record)
        => Writing(path, () =>
        {
            using var file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 0);
            var length = file.Position;
            try
            {
                file.Write(record);
                return true;
            }
            catch (Exception e) when (e is IOException || IsTooLarge(e))
            {
                // A full disk may have taken a part of the record.
                file.SetLength(length);
                throw;
            }
        });

    /// <summary>Creates a folder if it does not exist.</summary>
    /// <exception cref="IOException">The folder cannot be created.</exception>
    public static void CreateFolder(string path) => Writing(path, () => Directory.CreateDirectory(path));

    /// <summary>Renames a file, and replaces one that has the new name.</summary>
    /// <exception cref="IOException">The file cannot be renamed.</exception>
    public static void Move(string from, string to)
        => Writing(to, () =>
        {
            File.Move(from, to, overwrite: true);
            return true;
        });

    /// <summary>Returns the paths of the files in a folder.</summary>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="IOException">The folder cannot be read.</exception>
    public static string[] List(string folder, string pattern = "*") => Reading(folder, () => Directory.GetFiles(folder, pattern));

    /// <summary>Runs a function that reads a file or a folder, and reports missing rights as <see cref="IOException"/>.</summary>
    /// <exception cref="IOException">The function threw an exception of the file system.</exception>
    public static T Reading<T>(string path, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is UnauthorizedAccessException or NotSupportedException)
        {
            throw new IOException($"Cannot read '{path}': {e.Message}", e);
        }
    }

    /// <summary>Runs a function that writes a file, and reports all errors of the file system as <see cref="IOException"/>.</summary>
    /// <exception cref="IOException">The function threw an exception of the file system. The message contains the path.</exception>
    public static T Writing<T>(string path, Func<T> write)
    {
        try
        {
            return write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException || IsTooLarge(e))
        {
            throw new IOException($"Cannot write '{path}': {e.Message}", e);
        }
    }

    /// <summary>
    /// Returns whether an error is that of .NET for EFBIG, the error of a file that its file system, or a limit of the process, does not
    /// let grow.
    /// </summary>
    public static bool IsTooLarge(Exception error) => error is ArgumentOutOfRangeException { ParamName: "value" };

    private static T Opening<T>(string path, Func<T> open)
    {
        if (Directory.Exists(path))
            throw new FileNotFoundException($"Cannot read '{path}': it is a folder, not a file.", path);
        if (!UnixFile.IsRegular(path))
            throw new IOException($"Cannot read '{path}': it is a pipe or a device, not a regular file.");
        try
        {
            return Reading(path, open);
        }
        catch (Exception e) when (e is DirectoryNotFoundException or PathTooLongException)
        {
            throw new FileNotFoundException($"There is no file '{path}'.", path, e);
        }
    }

    private static void RequireSize(string path, long size, long maxBytes)
    {
        if (size > maxBytes)
            throw new InvalidDataException(Invariant($"'{path}' must have at most {maxBytes} bytes, has {size}."));
    }
}

/// <summary>The type of a file, which .NET does not provide. On systems other than Linux, every file counts as regular.</summary>
[ExcludeFromCodeCoverage]
internal static class UnixFile
{
    // The constants and the layout of the Linux manual page statx(2), which do not depend on the processor.
    private const int CurrentFolder = -100;
    private const uint TypeMask = 1;
    private const int ResultSize = 256;
    private const int ModeOffset = 28;
    private const int FormatBits = 0xF000;
    private const int RegularFormat = 0x8000;

    /// <summary>Returns <see langword="false"/> for pipes, sockets and devices. Links are followed.</summary>
    public static bool IsRegular(string path)
    {
        if (!OperatingSystem.IsLinux())
            return true;
        var result = new byte[ResultSize];
        try
        {
            if (Status(CurrentFolder, Encoding.UTF8.GetBytes(path + '\0'), 0, TypeMask, result) != 0)
                return true;
        }
        catch (EntryPointNotFoundException)
        {
            return true;
        }

        return (BitConverter.ToUInt16(result, ModeOffset) & FormatBits) == RegularFormat;
    }

    [DllImport("libc", EntryPoint = "statx")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Status(int folder, byte[] path, int flags, uint mask, [Out] byte[] result);
}
