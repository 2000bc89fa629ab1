using System.Diagnostics.CodeAnalysis;
using System.Runtime.ExceptionServices;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Processes the memory of tensors on the CPU on at most as many threads as torch uses.</summary>
[ExcludeFromCodeCoverage]
internal static class HostThreads
{
    /// <summary>Runs a worker on several threads. If workers throw exceptions, one of them is thrown to the caller.</summary>
    /// <param name="items">The number of items. <see cref="Queue.TryTake"/> returns each of them to one worker.</param>
    /// <param name="worker">Processes items until there are no more. It is called once on each thread.</param>
    /// <param name="threads">The maximum number of threads. The default is the number that torch uses.</param>
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

    /// <summary>The items that have not been taken.</summary>
    public sealed class Queue(long count)
    {
        private long _taken;

        /// <summary>Takes the next item.</summary>
        /// <returns><see langword="false"/> if there are no more items.</returns>
        public bool TryTake(out long item)
        {
            item = Interlocked.Increment(ref _taken) - 1;
            return item < count;
        }
    }
}
