using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Diffusion.Core;

/// <summary>How much memory tensors on the CPU take.</summary>
internal static class HostMemory
{
    /// <summary>
    /// Bytes that native code has allocated and not freed: exact where there is glibc 2.33 or later, else the private bytes of the
    /// process, which fall late.
    /// </summary>
    public static long InUse()
    {
        if (OperatingSystem.IsLinux())
        {
            try
            {
                var counts = CountAllocations();
                return (long)(counts.InUse + counts.Mapped);
            }
            catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
            {
                // Another C library.
            }
        }

        using var process = Process.GetCurrentProcess();
        return process.PrivateMemorySize64;
    }

    [DllImport("libc", EntryPoint = "mallinfo2")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern Allocations CountAllocations();

    /// <summary>glibc's struct mallinfo2.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Allocations
    {
        private readonly nuint _arena;
        private readonly nuint _freeChunks;
        private readonly nuint _fastChunks;
        private readonly nuint _mappedBlocks;

        /// <summary>Bytes in blocks mapped one by one.</summary>
        public readonly nuint Mapped;

        private readonly nuint _highest;
        private readonly nuint _fastBytes;

        /// <summary>Bytes in all other blocks in use.</summary>
        public readonly nuint InUse;

        private readonly nuint _free;
        private readonly nuint _keep;
    }
}
