using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Diffusion.Core.FaultHost;

/// <summary>Counts the pages that the system provides while tensors of 32 MiB are allocated and freed again and again.</summary>
internal static class PageFaults
{
    private const int Repeats = 20;

    public static void Run()
    {
        Count();
        Console.WriteLine($"before {Count()}");
        Console.WriteLine($"accepted {HostSettings.KeepFreedMemory()}");
        Count();
        Console.WriteLine($"after {Count()}");
    }

    private static long Count()
    {
        var before = Minor();
        for (var k = 0; k < Repeats; k++)
            ones([8L << 20], ScalarType.Float32).Dispose();
        return Minor() - before;
    }

    private static long Minor()
    {
        // struct rusage: two times of two numbers, then ru_maxrss, ru_ixrss, ru_idrss, ru_isrss and ru_minflt.
        Span<long> usage = stackalloc long[18];
        if (Usage(0, ref MemoryMarshal.GetReference(usage)) != 0)
            throw new InvalidOperationException("The page faults of the process cannot be read.");
        return usage[8];
    }

    [DllImport("libc", EntryPoint = "getrusage")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Usage(int who, ref long usage);
}
