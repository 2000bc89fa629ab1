using System.Runtime.InteropServices;

namespace Diffusion.Core;

/// <summary>Settings of the process that accelerate training and sampling on the CPU on Linux.</summary>
/// <remarks>
/// Each setting applies to the whole process, including the native code of other libraries. Apply them before the first tensor is created.
/// </remarks>
public static class HostSettings
{
    private const int TrimThreshold = -1;
    private const int MmapThreshold = -3;
    private const int LargestBlock = 1 << 30;
    private const string SpinCount = "20000";

    /// <summary>Keeps freed memory of blocks of up to 1 GiB in the process, instead of returning it to the operating system.</summary>
    /// <remarks>
    /// <para>By default, glibc returns the memory of large blocks to the system when they are freed. A training step frees and allocates
    /// its activations again, and the system then has to clear the same pages in every step, which took one eighth of the training step of
    /// a U-Net. With other C libraries and allocators (musl, jemalloc, tcmalloc, macOS, Windows) the call has no effect.</para>
    /// <para>The setting cannot be undone. It is equivalent to the environment variables <c>MALLOC_TRIM_THRESHOLD_=2147483647</c> and
    /// <c>MALLOC_MMAP_THRESHOLD_=1073741824</c>. The process keeps the largest amount of memory that it has needed so far.</para>
    /// </remarks>
    /// <returns><see langword="true"/> if the C library accepted the setting; <see langword="false"/> if it has no such setting.</returns>
    public static bool KeepFreedMemory()
        => OnLibC(() =>
        {
            // Setting only one of the two would disable the dynamic adjustment of the other.
            return Set(MmapThreshold, LargestBlock) == 1 && Set(TrimThreshold, int.MaxValue) == 1;
        });

    /// <summary>
    /// Lets the threads of OpenMP sleep after 20,000 iterations of the loop in which they wait for work. GCC's default is 300,000.
    /// </summary>
    /// <remarks>
    /// <para>Threads that wait in this loop occupy the cores that other threads need: those of another process, and the threads on which
    /// this library computes attention and norms. With two busy processes on two cores, a step of a small network took a third of the time
    /// with this setting. A much shorter loop is slower for small networks on an otherwise idle machine, because waking a thread takes
    /// longer than the wait between two operators.</para>
    /// <para>The call is equivalent to the environment variable <c>GOMP_SPINCOUNT=20000</c>. It has no effect if that variable or
    /// <c>OMP_WAIT_POLICY</c> is set, or after libtorch is loaded, which is when OpenMP reads the variable.</para>
    /// </remarks>
    /// <returns>
    /// <see langword="true"/> if the variable was set; <see langword="false"/> if it or <c>OMP_WAIT_POLICY</c> was already set, or the
    /// system is not Linux.
    /// </returns>
    public static bool SpinBriefly()
        => string.IsNullOrEmpty(Environment.GetEnvironmentVariable("OMP_WAIT_POLICY"))
            && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("GOMP_SPINCOUNT"))
            // OpenMP reads the environment of the C library, which Environment.SetEnvironmentVariable does not change.
            && OnLibC(() => SetVariable("GOMP_SPINCOUNT", SpinCount, overwrite: 1) == 0);

    private static bool OnLibC(Func<bool> set)
    {
        if (!OperatingSystem.IsLinux())
            return false;
        try
        {
            return set();
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            return false;
        }
    }

    [DllImport("libc", EntryPoint = "mallopt")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Set(int parameter, int value);

    [DllImport("libc", EntryPoint = "setenv", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetVariable(string name, string value, int overwrite);
}
