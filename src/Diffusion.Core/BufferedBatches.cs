using System.Collections.Concurrent;

namespace Diffusion.Core;

/// <summary>A data set whose batches come in memory that is used again when they are disposed.</summary>
/// <remarks>
/// <para>There are as many buffers as batches were held at once: those ahead and the one in use.</para>
/// <para>On the CPU a step has read its batch when it ends, so a buffer is free when its batch is disposed. Copies to a CUDA device are
/// only queued by then. There the batch is a pinned copy, from libtorch's own cache of pinned memory: freed while a copy of it is queued,
/// it is given out again only when the device is past that copy. So nothing waits, and the buffer is free at once.</para>
/// </remarks>
internal sealed class BufferedBatches(IBufferedDataset dataset, int batchSize, bool pinned) : IDataset<Batch>, IDisposable
{
    private readonly ConcurrentBag<HostBuffer> _free = [];
    private volatile bool _disposed;

    public long Count => dataset.Count;

    public LoadThreading Threading => dataset.Threading;

    public Batch Load(ReadOnlySpan<long> indices) => Load(indices, default);

    /// <param name="indices">As many as the batch size.</param>
    /// <param name="context">Passed on.</param>
    public Batch Load(ReadOnlySpan<long> indices, LoadContext context)
    {
        var buffer = _free.TryTake(out var free) ? free : new HostBuffer(dataset, batchSize).OutOfScope();
        var lent = false;
        try
        {
            buffer.Fill(dataset, indices, context);
            if (pinned)
                return buffer.ToPinned();
            var batch = buffer.Lend(() => Return(buffer));
            lent = true;
            return batch;
        }
        finally
        {
            if (!lent)
                Return(buffer);
        }
    }

    /// <summary>Frees the memory: that of batches in use when they are disposed.</summary>
    public void Dispose()
    {
        _disposed = true;
        Drain();
    }

    private void Return(HostBuffer buffer)
    {
        _free.Add(buffer);
        if (_disposed)
            Drain();
    }

    private void Drain()
    {
        while (_free.TryTake(out var buffer))
            buffer.Dispose();
    }
}
