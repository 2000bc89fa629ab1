using System.Runtime.InteropServices;

namespace Diffusion.Core;

/// <summary>A setting of the C library's allocator, which provides the memory of tensors on the CPU.</summary>
/// <remarks>
/// By default, glibc returns the memory of large blocks to the system when they are freed. A training step frees and allocates its activations
/// again, and the system then has to clear the same pages in every step, which took an eighth of the step of a U-Net. On other C libraries
/// and allocators (musl, jemalloc, tcmalloc, macOS, Windows) the call changes nothing.
/// </remarks>
public static class HostAllocator
{
    private const int TrimThreshold = -1;
    private const int MmapThreshold = -3;
    private const int LargestBlock = 1 << 30;

    /// <summary>Keeps freed memory in the process, for every block up to 1 GiB. The default of the C library is to return it.</summary>
    /// <remarks>
    /// The setting applies to the whole process, native code of others included, and cannot be undone. It equals the environment variables
    /// <c>MALLOC_TRIM_THRESHOLD_=2147483647</c> and <c>MALLOC_MMAP_THRESHOLD_=1073741824</c>. The process holds the largest amount of memory
    /// that it has needed so far. Call it once, before the first tensor.
    /// </remarks>
    /// <returns><see langword="true"/> where the C library accepted the setting; <see langword="false"/> where it has no such setting.</returns>
    public static bool KeepFreedMemory()
    {
        if (!OperatingSystem.IsLinux())
            return false;
        try
        {
            // Setting only one of the two would switch off the adaptation of the other.
            return Set(MmapThreshold, LargestBlock) == 1 && Set(TrimThreshold, int.MaxValue) == 1;
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            return false;
        }
    }

    [DllImport("libc", EntryPoint = "mallopt")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Set(int parameter, int value);
}
