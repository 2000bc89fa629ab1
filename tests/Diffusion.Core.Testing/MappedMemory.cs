using System.Runtime.InteropServices;

namespace Diffusion.Core.Testing;

/// <summary>
/// The memory that malloc of the GNU C library has taken from the system block by block, which is exact: a block of more than 32 MiB is
/// mapped for itself and leaves with the tensor that it held, unless a free one on the heap is large enough: what is held in all is told by
/// <see cref="BytesInUse"/>. Tests that read it run when no other test does.
/// </summary>
public static partial class MappedMemory
{
    /// <summary>A tensor of more bytes than this has a block for itself, unless the heap has a free one of that size.</summary>
    public const long Threshold = 32L << 20;

    /// <summary>Bytes in mapped blocks, without what waits for finalisers. Skips the test where the C library cannot tell.</summary>
    public static long Bytes() => (long)Now().MappedBytes;

    /// <summary>Bytes in use of any block, mapped or not, by whatever code. Skips the test where the C library cannot tell.</summary>
    public static long BytesInUse()
    {
        var now = Now();
        return (long)(now.MappedBytes + now.UsedBytes);
    }

    private static Information Now()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Mapped memory is asked of the GNU C library, which is Linux's.");
        GC.Collect();
        GC.WaitForPendingFinalizers();
        try
        {
            return mallinfo2();
        }
        catch (Exception exception) when (exception is EntryPointNotFoundException or DllNotFoundException)
        {
            Assert.Skip("Mapped memory is asked of mallinfo2, which the GNU C library has since 2.33.");
            return default;
        }
    }

    [LibraryImport("libc.so.6")]
    private static partial Information mallinfo2();

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Information(
        nuint Arena,
        nuint FreeBlocks,
        nuint FastBlocks,
        nuint MappedBlocks,
        nuint MappedBytes,
        nuint Unused,
        nuint FastBytes,
        nuint UsedBytes,
        nuint FreeBytes,
        nuint ReleasableBytes);
}
