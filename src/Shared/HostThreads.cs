using System.Diagnostics.CodeAnalysis;
using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Work on the memory of tensors on the CPU, divided among as many threads as torch uses.</summary>
[ExcludeFromCodeCoverage]
internal static class HostThreads
{
    /// <summary>Runs a worker on several threads. An exception of a worker reaches the caller as it is thrown.</summary>
    /// <param name="items">The number of items that <see cref="Queue.TryTake"/> hands out, each to one worker.</param>
    /// <param name="worker">Takes items until there are no more; called once on each thread.</param>
    /// <param name="threads">The number of threads at most. The default is the number that torch uses.</param>
    public static void Run(long items, Action<Queue> worker, long threads = long.MaxValue)
    {
        var queue = new Queue(items);
        threads = Math.Min(Math.Min(items, threads), get_num_threads());
        if (threads <= 1)
        {
            worker(queue);
            return;
        }

        try
        {
            Parallel.For(0, (int)threads, new ParallelOptions { MaxDegreeOfParallelism = (int)threads }, _ => worker(queue));
        }
        catch (AggregateException e) when (e.InnerExceptions.Count > 0)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    /// <summary>Items that are not taken yet.</summary>
    public sealed class Queue(long count)
    {
        private long _taken;

        /// <summary>Takes the next item.</summary>
        public bool TryTake(out long item)
        {
            item = Interlocked.Increment(ref _taken) - 1;
            return item < count;
        }
    }
}
