using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Host memory for a batch: samples and, if the data set has them, labels.</summary>
internal sealed class HostBuffer : IDisposable
{
    private readonly Tensor _samples;
    private readonly Tensor? _labels;

    /// <summary>Initializes a new instance of the <see cref="HostBuffer"/> class.</summary>
    /// <param name="dataset">The data set, which determines the shape and whether there are labels.</param>
    /// <param name="count">B, the number of samples.</param>
    public HostBuffer(IBufferedDataset dataset, long count)
    {
        _samples = empty([count, .. dataset.SampleShape], ScalarType.Float32);
        _labels = dataset.HasLabels ? empty([count], ScalarType.Int64) : null;
    }

    /// <summary>
    /// Returns whether the samples of a batch fit one span, whose length in bytes is limited to <see cref="int.MaxValue"/>.
    /// </summary>
    public static bool Holds(IBufferedDataset dataset, long count)
        => dataset.SampleShape.Aggregate((Int128)count * sizeof(float), (bytes, length) => bytes * length) <= int.MaxValue;

    /// <summary>Overwrites the buffer with samples.</summary>
    public void Fill(IBufferedDataset dataset, ReadOnlySpan<long> indices, LoadContext context)
    {
        dataset.Fill(
            indices,
            context,
            MemoryMarshal.Cast<byte, float>(_samples.bytes),
            _labels is null ? [] : MemoryMarshal.Cast<byte, long>(_labels.bytes));

        // A span over the memory of a tensor does not keep the tensor alive.
        GC.KeepAlive(this);
    }

    /// <summary>Detaches the buffer from the dispose scopes of this thread, because it is used after they end.</summary>
    public HostBuffer OutOfScope()
    {
        _samples.DetachFromDisposeScope();
        _labels?.DetachFromDisposeScope();
        return this;
    }

    /// <summary>Returns a batch that takes ownership of this memory.</summary>
    public Batch ToBatch() => new(_samples, Labelled(_labels));

    /// <summary>Returns a batch over this memory, which the buffer still owns.</summary>
    /// <param name="recycle">Called when the batch is disposed.</param>
    public Batch Lend(Action recycle)
        => new(_samples.detach().DetachFromDisposeScope(), Labelled(_labels?.detach().DetachFromDisposeScope()), recycle);

    /// <summary>Returns a batch with a copy of this memory in pinned memory, so that copies to a CUDA device are asynchronous.</summary>
    public Batch ToPinned()
        => new(_samples.pin_memory().DetachFromDisposeScope(), Labelled(_labels?.pin_memory().DetachFromDisposeScope()));

    /// <inheritdoc/>
    public void Dispose()
    {
        _samples.Dispose();
        _labels?.Dispose();
    }

    private static Condition? Labelled(Tensor? labels) => labels is null ? null : Condition.Create(labels: labels);
}

/// <summary>A data set whose batches use memory that is reused after they are disposed.</summary>
/// <remarks>
/// <para>The number of buffers is the largest number of batches that existed at the same time: those loaded ahead and the one in
/// use.</para>
/// <para>On the CPU, a step has read its batch when it ends, so a buffer is free when its batch is disposed. Copies to a CUDA device may
/// still be queued at that time. The batch is then a copy in pinned memory from the cache of libtorch: memory that is freed while a copy is
/// queued is reused only after the device has completed the copy. So there is no wait, and the buffer is free immediately.</para>
/// </remarks>
internal sealed class BufferedBatches(IBufferedDataset dataset, int batchSize, bool pinned) : IDataset<Batch>, IDisposable
{
    private readonly ConcurrentBag<HostBuffer> _free = [];
    private volatile bool _disposed;

    public long Count => dataset.Count;

    public LoadThreading Threading => dataset.Threading;

    public Batch Load(ReadOnlySpan<long> indices) => Load(indices, default);

    /// <summary>Loads a batch into a free buffer, or into a new one.</summary>
    /// <param name="indices">The indices of the samples. Their number must be the batch size.</param>
    /// <param name="context">The context that is passed to the data set.</param>
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

    /// <summary>Disposes the buffers that are not in use. The other buffers are disposed together with their batches.</summary>
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
