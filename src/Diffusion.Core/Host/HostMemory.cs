using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Diffusion.Core;

/// <summary>Measures the memory that tensors on the CPU occupy.</summary>
internal static class HostMemory
{
    /// <summary>
    /// Returns the number of bytes that native code has allocated and not freed. It is exact with glibc 2.33 or later; otherwise it is the
    /// number of private bytes of the process, which decreases with a delay.
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
                // The C library is not glibc, or is an older version of it.
            }
        }

        using var process = Process.GetCurrentProcess();
        return process.PrivateMemorySize64;
    }

    [DllImport("libc", EntryPoint = "mallinfo2")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern Allocations CountAllocations();

    /// <summary>The struct <c>mallinfo2</c> of glibc.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Allocations
    {
        private readonly nuint _arena;
        private readonly nuint _freeChunks;
        private readonly nuint _fastChunks;
        private readonly nuint _mappedBlocks;

        /// <summary>The number of bytes in individually mapped blocks.</summary>
        public readonly nuint Mapped;

        private readonly nuint _highest;
        private readonly nuint _fastBytes;

        /// <summary>The number of bytes in all other allocated blocks.</summary>
        public readonly nuint InUse;

        private readonly nuint _free;
        private readonly nuint _keep;
    }
}
