using Diffusion.Core.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>What a trainer asks of a batch of data, whatever it holds. A batch owns its tensors.</summary>
/// <typeparam name="TSelf">The type that implements it.</typeparam>
public interface IBatch<TSelf> : IDisposable
    where TSelf : IBatch<TSelf>
{
    /// <summary>B, the number of samples.</summary>
    long Count { get; }

    /// <summary>Samples [<paramref name="first"/>, <paramref name="first"/> + <paramref name="count"/>), as a batch of their own.</summary>
    /// <remarks>It may share memory with this batch: use it while this batch is not disposed, and dispose it too.</remarks>
    /// <param name="first">0..B-1.</param>
    /// <param name="count">At least 1; the end may not lie beyond B.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range lies outside the batch.</exception>
    TSelf Slice(long first, long count);

    /// <summary>
    /// The batch on a device, its floating point data in an element type. Copies to a CUDA device do not wait for it.
    /// </summary>
    /// <remarks>It may share memory with this batch: use it while this batch is not disposed, and dispose it too.</remarks>
    /// <param name="device">The device of the model.</param>
    /// <param name="dtype">The floating point type that the model computes in.</param>
    TSelf To(Device device, ScalarType dtype);
}

/// <summary>A batch of training data. Owns its tensors.</summary>
public sealed class Batch : IBatch<Batch>
{
    private readonly Action? _recycle;
    private bool _disposed;

    /// <summary>A batch of its own tensors.</summary>
    /// <param name="samples">[B, ...]; taken over.</param>
    /// <param name="condition">Of the same batch size, or null; taken over.</param>
    public Batch(Tensor samples, Condition? condition = null) => (Samples, Condition) = (samples, condition);

    /// <summary>A batch over borrowed memory.</summary>
    /// <param name="samples">[B, ...]; taken over.</param>
    /// <param name="condition">Of the same batch size, or null; taken over.</param>
    /// <param name="recycle">Takes the memory back, once, when the batch is disposed.</param>
    internal Batch(Tensor samples, Condition? condition, Action recycle)
        : this(samples, condition) => _recycle = recycle;

    /// <summary>[B, ...] the data.</summary>
    public Tensor Samples { get; }

    /// <summary>What the network is told beside the data, or null.</summary>
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
    /// <remarks>Only the samples take the element type. They share memory with this batch where nothing changes.</remarks>
    public Batch To(Device device, ScalarType dtype)
    {
        ArgumentNullException.ThrowIfNull(device);
        // Moved first: a conversion on the way would go through memory that is not pinned.
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
