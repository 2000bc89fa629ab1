using System.Runtime.InteropServices;
using System.Text;

namespace Diffusion.Core;

/// <summary>
/// Makes renames last. On Unix the name of a file is content of its folder, which reaches the disk only when the folder is flushed;
/// elsewhere the system sees to it.
/// </summary>
internal static class FolderEntries
{
    private const int ReadOnly = 0;
    private const int InputOutputError = 5;

    /// <summary>Flushes the entries of a folder to disk; nothing where the file system cannot.</summary>
    /// <exception cref="IOException">The disk failed.</exception>
    public static void Flush(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        var descriptor = Open(Encoding.UTF8.GetBytes(folder + '\0'), ReadOnly);
        if (descriptor < 0)
            return;
        try
        {
            if (FlushToDisk(descriptor) != 0 && Marshal.GetLastPInvokeError() == InputOutputError)
                throw new IOException($"'{folder}' cannot be flushed to disk: {Marshal.GetPInvokeErrorMessage(InputOutputError)}.");
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Open(byte[] path, int flags);

    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int FlushToDisk(int descriptor);

    [DllImport("libc", EntryPoint = "close", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Close(int descriptor);
}
