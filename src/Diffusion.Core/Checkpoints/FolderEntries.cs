using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Diffusion.Core;

/// <summary>Operations on a folder itself, which .NET does not have: flushing its entries to disk, and locking it. Only for Unix.</summary>
internal static class FolderEntries
{
    private const int ReadOnly = 0;
    private const int InputOutputError = 5;
    private const int ExclusiveWithoutWaiting = 2 | 4;

    // A child process must not inherit the descriptor, and with it the lock.
    private static readonly int CloseOnExec = OperatingSystem.IsMacOS() ? 0x1000000 : 0x80000;

    private static readonly int WouldBlock = OperatingSystem.IsMacOS() ? 35 : 11;

    /// <summary>
    /// Flushes the entries of a folder to disk: on Unix, the name of a file is part of the content of its folder, which reaches the disk only
    /// when the folder is flushed. Windows does this itself. Does nothing if the file system does not support it.
    /// </summary>
    /// <exception cref="IOException">The device reported an I/O error.</exception>
    public static void Flush(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        using var handle = Open(folder);
        if (!handle.IsInvalid && FlushToDisk(handle) != 0 && Marshal.GetLastPInvokeError() == InputOutputError)
            throw new IOException(Invariant($"'{folder}' cannot be flushed to disk: {Marshal.GetPInvokeErrorMessage(InputOutputError)}."));
    }

    /// <summary>
    /// Locks a folder against other callers of this method until the result is disposed, or the process ends. Files in the folder can be read
    /// and written by everyone.
    /// </summary>
    /// <returns>The lock, without effect if the file system does not support locks; <see langword="null"/> if the folder is locked.</returns>
    public static IDisposable? TryLock(string folder)
    {
        var handle = Open(folder);
        if (handle.IsInvalid || Lock(handle, ExclusiveWithoutWaiting) == 0 || Marshal.GetLastPInvokeError() != WouldBlock)
            return handle;
        handle.Dispose();
        return null;
    }

    private static SafeFileHandle Open(string folder) => new(Open(Encoding.UTF8.GetBytes(folder + '\0'), ReadOnly | CloseOnExec), ownsHandle: true);

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Open(byte[] path, int flags);

    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int FlushToDisk(SafeFileHandle descriptor);

    [DllImport("libc", EntryPoint = "flock", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Lock(SafeFileHandle descriptor, int operation);
}
