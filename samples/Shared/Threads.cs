using Diffusion.Core;
using TorchSharp;

namespace Samples;

/// <summary>How many threads an operator uses, how they wait for work, and where the memory of tensors goes when it is freed.</summary>
internal static class Threads
{
    /// <summary>Chooses all three and prints the number of threads. To be called before anything else of torch.</summary>
    public static void Choose()
    {
        // On a busy machine, threads that spin while they wait take the cores from those that they wait for.
        HostSettings.SpinBriefly();

        // The next step needs the memory that this one has freed.
        HostSettings.KeepFreedMemory();

        // torch counts the cores of the machine; the limit of a container may be lower.
        if (Environment.GetEnvironmentVariable("OMP_NUM_THREADS") is null && torch.get_num_threads() > Environment.ProcessorCount)
            torch.set_num_threads(Environment.ProcessorCount);
        var threads = torch.get_num_threads();
        Console.WriteLine($"{threads} {(threads == 1 ? "thread" : "threads")} (set OMP_NUM_THREADS to change it).");
    }
}
