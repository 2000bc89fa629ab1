using System.Runtime.InteropServices;

namespace TorchSharp.Interop;

/// <summary>
/// How the C library keeps the memory of tensors that were freed. As it comes, it hands the top of the heap and every large block back
/// to the system, and a network that asks for the same blocks again at every step has every page of them zeroed and mapped anew: 345,000
/// page faults, and a third of the time, of a training step of a U-Net of 6 M parameters.
/// </summary>
internal static partial class Heap
{
    private const int TrimThreshold = -1;
    private const int MmapThreshold = -3;
    private const int Never = int.MaxValue;

    /// <summary>The most that a C library before 2.35 lets one set; a greater value is refused there.</summary>
    private const int GreatestOfOld = 32 << 20;

    private static readonly string[] Settings = ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"];

    /// <summary>Keeps freed memory for the tensors that come next, unless the environment says how the heap is to be kept.</summary>
    internal static void KeepFreedMemory()
    {
        if (Array.Exists(Settings, name => !string.IsNullOrEmpty(Environment.GetEnvironmentVariable(name))))
            return;
        if (mallopt(MmapThreshold, Never) == 0)
            _ = mallopt(MmapThreshold, GreatestOfOld);
        _ = mallopt(TrimThreshold, Never);
    }

    [LibraryImport("libc")]
    private static partial int mallopt(int parameter, int value);
}
