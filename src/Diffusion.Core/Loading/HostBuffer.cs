using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Host memory for a batch: samples and, where there are any, labels.</summary>
internal sealed class HostBuffer : IDisposable
{
    private readonly Tensor _samples;
    private readonly Tensor? _labels;

    /// <param name="dataset">Decides shape and labels.</param>
    /// <param name="count">B.</param>
    public HostBuffer(IBufferedDataset dataset, long count)
    {
        _samples = empty([count, .. dataset.SampleShape], ScalarType.Float32);
        _labels = dataset.HasLabels ? empty([count], ScalarType.Int64) : null;
    }

    /// <summary>Whether a batch can be one stretch of memory that managed code can write.</summary>
    public static bool Holds(IBufferedDataset dataset, long count)
        => dataset.SampleShape.Aggregate((Int128)count * sizeof(float), (bytes, length) => bytes * length) <= int.MaxValue;

    /// <summary>Writes samples over what was here.</summary>
    public void Fill(IBufferedDataset dataset, ReadOnlySpan<long> indices, LoadContext context)
    {
        dataset.Fill(
            indices,
            context,
            MemoryMarshal.Cast<byte, float>(_samples.bytes),
            _labels is null ? [] : MemoryMarshal.Cast<byte, long>(_labels.bytes));

        // A span of a tensor's memory does not keep the tensor.
        GC.KeepAlive(this);
    }

    /// <summary>Takes the buffer out of the dispose scopes of this thread: it is to outlive them.</summary>
    public HostBuffer OutOfScope()
    {
        _samples.DetachFromDisposeScope();
        _labels?.DetachFromDisposeScope();
        return this;
    }

    /// <summary>A batch that takes this memory over.</summary>
    public Batch ToBatch() => new(_samples, Labelled(_labels));

    /// <summary>A batch over this memory.</summary>
    /// <param name="recycle">Called when it is disposed.</param>
    public Batch Lend(Action recycle)
        => new(_samples.detach().DetachFromDisposeScope(), Labelled(_labels?.detach().DetachFromDisposeScope()), recycle);

    /// <summary>A batch with a copy of this memory that is pinned, so that copies of it to a CUDA device need not be waited for.</summary>
    public Batch ToPinned()
        => new(_samples.pin_memory().DetachFromDisposeScope(), Labelled(_labels?.pin_memory().DetachFromDisposeScope()));

    /// <inheritdoc/>
    public void Dispose()
    {
        _samples.Dispose();
        _labels?.Dispose();
    }

    private static Condition? Labelled(Tensor? labels) => labels is null ? null : new Condition { Labels = labels };
}

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
