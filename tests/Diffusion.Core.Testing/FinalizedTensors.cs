using System.Runtime.CompilerServices;
using TorchSharp;

namespace Diffusion.Core.Testing;

/// <summary>
/// Counts the tensors that finalizers freed. One that nothing disposes can be freed while native code still reads it, where the call is
/// the last use.
/// </summary>
public static class FinalizedTensors
{
    private static long _count;

    /// <summary>Collects garbage, and counts what finalizers have freed so far.</summary>
    public static long Count()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();

        // TorchSharp counts for each thread: the finalizer of an object created now reads what the thread of finalizers has counted.
        Create();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return Volatile.Read(ref _count);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Create() => _ = new Reader();

    private sealed class Reader
    {
        ~Reader()
        {
            var counted = DisposeScopeManager.Statistics.TensorStatistics;
            Volatile.Write(ref _count, counted.DisposedInScopeCount + counted.DisposedOutsideScopeCount);
        }
    }
}
