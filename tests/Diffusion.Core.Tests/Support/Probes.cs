namespace Diffusion.Core.Tests.Support;

/// <summary>A data set of batches without tensors that tells who loads what.</summary>
internal sealed class Probes(long count) : IDataset<Probe>
{
    private int _calls;
    private int _inside;
    private int _live;
    private int _mostInside;

    public long Count => count;

    public LoadThreading Threading { get; init; } = LoadThreading.Concurrent;

    /// <summary>Called before each batch, on the thread that loads it, with the number of calls before and the batch's indices.</summary>
    public Action<int, long[], CancellationToken>? Loading { get; set; }

    /// <summary>Threads that have loaded.</summary>
    public System.Collections.Concurrent.ConcurrentDictionary<Thread, bool> Threads { get; } = [];

    public int Calls => Volatile.Read(ref _calls);

    /// <summary>Batches made and not freed.</summary>
    public int Live => Volatile.Read(ref _live);

    /// <summary>The most threads that were loading at once.</summary>
    public int MostInside => Volatile.Read(ref _mostInside);

    public Probe Load(ReadOnlySpan<long> indices) => throw new NotSupportedException("Seeds are expected.");

    public Probe Load(ReadOnlySpan<long> indices, LoadContext context)
    {
        Threads.TryAdd(Thread.CurrentThread, true);
        var call = Interlocked.Increment(ref _calls) - 1;
        var inside = Interlocked.Increment(ref _inside);
        if (inside > _mostInside)
            _mostInside = inside;
        try
        {
            Loading?.Invoke(call, indices.ToArray(), context.CancellationToken);
            Interlocked.Increment(ref _live);
            return new Probe(this, indices.ToArray(), context.Seeds.ToArray());
        }
        finally
        {
            Interlocked.Decrement(ref _inside);
        }
    }

    public void Freed(Probe probe)
    {
        ArgumentNullException.ThrowIfNull(probe);
        Interlocked.Decrement(ref _live);
    }
}
