using System.Runtime.InteropServices;
using Diffusion.Core;
using TorchSharp;

namespace Samples;

/// <summary>How many threads an operator uses, how they wait for work, and where the memory of tensors goes when it is freed.</summary>
internal static class Threads
{
    /// <summary>Chooses all three and prints the number of threads. To be called before anything else of torch.</summary>
    public static void Choose()
    {
        // By default, OpenMP's threads spin for milliseconds while they wait, and on a busy machine take the cores from the threads that
        // they wait for: a step took ten times as long. A short spin is as fast on a quiet machine, and a passive wait is not. OpenMP reads
        // the variable when it is loaded, from the C library, which Environment.SetEnvironmentVariable does not change.
        if (OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null)
            _ = SetVariable("GOMP_SPINCOUNT", "1000", overwrite: 0);

        // The next step needs the memory that this one has freed.
        HostAllocator.KeepFreedMemory();

        // torch counts the cores of the machine; the limit of a container may be lower.
        if (Environment.GetEnvironmentVariable("OMP_NUM_THREADS") is null && torch.get_num_threads() > Environment.ProcessorCount)
            torch.set_num_threads(Environment.ProcessorCount);
        var threads = torch.get_num_threads();
        Console.WriteLine($"{threads} {(threads == 1 ? "thread" : "threads")} (set OMP_NUM_THREADS to change it).");
    }

    [DllImport("libc", EntryPoint = "setenv", CharSet = CharSet.Ansi)]
    private static extern int SetVariable(string name, string value, int overwrite);
}
