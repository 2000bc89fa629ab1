using System.Runtime.InteropServices;

namespace TorchSharp.Interop;

/// <summary>
/// How the C library keeps the memory of tensors that were freed. As it comes, it maps every block of more than 128 KiB for itself until one
/// of that size was freed, and gives the top of the heap back to the system again and again: a network that asks for the same blocks at
/// every step has their pages zeroed and mapped anew. A training step of 100,000 parameters makes 170 page faults so, an eighth of its
/// time, and two with what is set here. It holds for the whole process, which keeps the most that it once had on its heap;
/// <c>MALLOC_TRIM_THRESHOLD_</c>, <c>MALLOC_MMAP_THRESHOLD_</c> or <c>GLIBC_TUNABLES</c> in the environment leave the heap as they say.
/// </summary>
internal static partial class Heap
{
    private const int TrimThreshold = -1;
    private const int MmapThreshold = -3;
    private const int Never = int.MaxValue;

    /// <summary>32 MiB, the most that every C library takes; greater blocks still leave with their tensor.</summary>
    private const int GreatestOnHeap = 32 << 20;

    private static readonly string[] Settings = ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"];

    /// <summary>Keeps freed memory for the tensors that come next, unless the environment says how the heap is to be kept.</summary>
    internal static void KeepFreedMemory()
    {
        if (Array.Exists(Settings, name => !string.IsNullOrEmpty(Environment.GetEnvironmentVariable(name))))
            return;
        try
        {
            _ = mallopt(MmapThreshold, GreatestOnHeap);
            _ = mallopt(TrimThreshold, Never);
        }
        catch (Exception e) when (e is EntryPointNotFoundException or DllNotFoundException)
        {
            // Another C library keeps its heap in its own way.
        }
    }

    [LibraryImport("libc")]
    private static partial int mallopt(int parameter, int value);
}
