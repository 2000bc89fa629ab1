using System.Diagnostics.CodeAnalysis;

namespace Diffusion.Core;

/// <summary>Appends to a file of records so that it contains only whole records, also when the disk is full.</summary>
[ExcludeFromCodeCoverage]
internal static class AppendFile
{
    /// <summary>Appends a record to a file, which is created if it does not exist.</summary>
    /// <exception cref="IOException">The record cannot be written. The file is unchanged.</exception>
    /// <exception cref="UnauthorizedAccessException">The file cannot be opened for writing.</exception>
    public static void Append(string path, ReadOnlySpan<byte> record)
    {
        using var file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 0);
        var length = file.Position;
        try
        {
            file.Write(record);
        }
        catch (Exception e) when (e is IOException || AtomicFile.IsTooLarge(e))
        {
            try
            {
                file.SetLength(length);
            }
            catch (IOException)
            {
                // The first error is the one to report.
            }

            throw e as IOException ?? new IOException($"Cannot write '{path}': {e.Message}", e);
        }
    }
}
