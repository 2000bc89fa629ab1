using Diffusion.Core;
using TorchSharp;

namespace Samples;

/// <summary>
/// Settings of the process: the number of threads of an operator, how threads wait for work, and whether freed memory stays in the process.
/// </summary>
internal static class Threads
{
    /// <summary>Applies the settings and prints the number of threads. Call it before any other function of TorchSharp.</summary>
    public static void Choose()
    {
        // On a busy machine, waiting threads that spin occupy the cores that the threads with work need.
        HostSettings.SpinBriefly();

        // Each step needs the memory that the previous step has freed.
        HostSettings.KeepFreedMemory();

        // libtorch counts the cores of the machine; the limit of a container may be lower.
        if (Environment.GetEnvironmentVariable("OMP_NUM_THREADS") is null && torch.get_num_threads() > Environment.ProcessorCount)
            torch.set_num_threads(Environment.ProcessorCount);
        var threads = torch.get_num_threads();
        Console.WriteLine($"{threads} {(threads == 1 ? "thread" : "threads")} (set OMP_NUM_THREADS to change the number).");
    }
}
