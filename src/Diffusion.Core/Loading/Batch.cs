using Diffusion.Core.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>A batch of any kind of data that a trainer can split and move. A batch owns its tensors.</summary>
/// <typeparam name="TSelf">The type that implements the interface.</typeparam>
public interface IBatch<TSelf> : IDisposable
    where TSelf : IBatch<TSelf>
{
    /// <summary>B, the number of samples.</summary>
    long Count { get; }

    /// <summary>
    /// Returns the samples [<paramref name="first"/>, <paramref name="first"/> + <paramref name="count"/>) as a separate batch.
    /// </summary>
    /// <remarks>The result may share memory with this batch: use it only while this batch is not disposed, and dispose both.</remarks>
    /// <param name="first">The index of the first sample, in 0..B-1.</param>
    /// <param name="count">The number of samples: at least 1, and at most B - <paramref name="first"/>.</param>
    /// <returns>The batch. The caller must dispose it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The samples are not all in the batch.</exception>
    TSelf Slice(long first, long count);

    /// <summary>
    /// Returns the batch on a device, with its floating point data converted to an element type. Copies to a CUDA device are asynchronous.
    /// </summary>
    /// <remarks>The result may share memory with this batch: use it only while this batch is not disposed, and dispose both.</remarks>
    /// <param name="device">The device of the model.</param>
    /// <param name="dtype">The floating point type in which the model computes.</param>
    /// <returns>The batch. The caller must dispose it.</returns>
    TSelf To(Device device, ScalarType dtype);
}

/// <summary>A batch of training data. Owns its tensors.</summary>
public sealed class Batch : IBatch<Batch>
{
    private readonly Action? _recycle;
    private bool _disposed;

    /// <summary>Initializes a new instance of the <see cref="Batch"/> class.</summary>
    /// <param name="samples">[B, ...] the data. Ownership passes to the batch.</param>
    /// <param name="condition">The condition, of the same batch size; or <see langword="null"/>. Ownership passes to the batch.</param>
    public Batch(Tensor samples, Condition? condition = null) => (Samples, Condition) = (samples, condition);

    /// <summary>Initializes a new instance of the <see cref="Batch"/> class over memory that is reused.</summary>
    /// <param name="samples">[B, ...] the data. Ownership passes to the batch.</param>
    /// <param name="condition">The condition, of the same batch size; or <see langword="null"/>. Ownership passes to the batch.</param>
    /// <param name="recycle">Called once when the batch is disposed, to release the memory.</param>
    internal Batch(Tensor samples, Condition? condition, Action recycle)
        : this(samples, condition) => _recycle = recycle;

    /// <summary>[B, ...] the data.</summary>
    public Tensor Samples { get; }

    /// <summary>The condition that is passed to the network with the data; <see langword="null"/> for none.</summary>
    public Condition? Condition { get; }

    /// <inheritdoc/>
    public long Count => Samples.dim() == 0 ? 0 : Samples.shape[0];

    /// <inheritdoc/>
    public Batch Slice(long first, long count)
    {
        Guard.InRange(first, 0, Count - 1);
        Guard.InRange(count, 1, Count - first);
        return new Batch(Samples.narrow(0, first, count), Condition?.Slice(first, count));
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Only the samples are converted to the element type. They share memory with this batch if device and type do not change.
    /// </remarks>
    public Batch To(Device device, ScalarType dtype)
    {
        ArgumentNullException.ThrowIfNull(device);
        // Moved first, because a conversion before the copy would write to memory that is not pinned.
        using var moved = Samples.to(device, non_blocking: device.type == DeviceType.CUDA);
        return new Batch(moved.to(dtype), Condition?.To(device));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Samples.Dispose();
        Condition?.Dispose();
        _recycle?.Invoke();
    }
}
