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
