using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Diffusion.Core.Data;

/// <summary>
/// A data set of samples in memory. It copies the values of the tensors, which may be disposed afterwards. It need not be disposed itself.
/// </summary>
public sealed class TensorDataset : IBufferedDataset
{
    private readonly float[] _values;
    private readonly long[]? _labels;
    private readonly long[] _shape;
    private readonly int _size;

    /// <summary>Creates a data set with a copy of the samples.</summary>
    /// <param name="samples">[N, ...] the samples, floating point, on any device, with N at least 1. They are stored as float32.</param>
    /// <param name="labels">[N] int64 class labels. The default is <see langword="null"/>: no labels.</param>
    /// <exception cref="ArgumentException">A shape or type is wrong, or there are more values than an array can contain.</exception>
    public TensorDataset(Tensor samples, Tensor? labels = null)
    {
        Guard.Floating(samples);
        if (samples.dim() == 0 || samples.numel() == 0)
            throw new ArgumentException($"samples must be [N, ...] with no size of 0, got {Guard.Format(samples.shape)}.", nameof(samples));
        if (samples.numel() > Array.MaxLength)
            throw new ArgumentException(
                Invariant($"samples may have {Array.MaxLength} values at most, got {samples.numel()}."), nameof(samples));
        Count = samples.shape[0];
        _shape = samples.shape[1..];
        _size = (int)(samples.numel() / Count);
        if (labels is not null)
        {
            Guard.Shape(labels, [Count]);
            if (labels.dtype != ScalarType.Int64)
                throw new ArgumentException($"labels must be Int64, got {labels.dtype}.", nameof(labels));
            _labels = Copy<long>(labels, ScalarType.Int64);
        }

        _values = Copy<float>(samples, ScalarType.Float32);
    }

    /// <inheritdoc/>
    public long Count { get; }

    /// <inheritdoc/>
    public IReadOnlyList<long> SampleShape => _shape;

    /// <inheritdoc/>
    public LoadThreading Threading => LoadThreading.Concurrent;

    /// <inheritdoc/>
    public bool HasLabels => _labels is not null;

    /// <inheritdoc/>
    /// <returns>
    /// [B, ...] float32, with [B] labels if <see cref="HasLabels"/> is <see langword="true"/>. The caller must dispose the batch.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">An index is not in 0..<see cref="Count"/>-1.</exception>
    /// <exception cref="ArgumentException"><paramref name="indices"/> is empty.</exception>
    public Batch Load(ReadOnlySpan<long> indices) => ((IDataset)this).Load(indices, default);

    /// <inheritdoc/>
    public void Fill(ReadOnlySpan<long> indices, LoadContext context, Span<float> samples, Span<long> labels)
    {
        Batches.CheckFill(this, indices, samples, labels);
        for (var i = 0; i < indices.Length; i++)
        {
            _values.AsSpan((int)indices[i] * _size, _size).CopyTo(samples[(i * _size)..]);
            if (_labels is not null)
                labels[i] = _labels[indices[i]];
        }
    }

    private static T[] Copy<T>(Tensor tensor, ScalarType type)
        where T : unmanaged
    {
        using var detached = tensor.detach();
        using var typed = detached.to(type);
        using var host = typed.cpu();
        using var packed = host.contiguous();
        return MemoryMarshal.Cast<byte, T>(packed.bytes).ToArray();
    }
}
