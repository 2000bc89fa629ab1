using System.Collections;

namespace TorchSharp.Utils;

/// <summary>The elements of a tensor on the CPU, in the order of its dimensions.</summary>
public sealed unsafe class TensorAccessor<T> : IDisposable, IEnumerable<T>
    where T : unmanaged
{
    private readonly torch.Tensor _tensor;
    private readonly T* _data;

    internal TensorAccessor(torch.Tensor tensor)
    {
        if (tensor.device_type != DeviceType.CPU)
            throw new InvalidOperationException(
                "Reading data from non-CPU memory is not supported. Move or copy the tensor to the cpu before reading.");
        _data = (T*)tensor.DataPointer;
        _tensor = tensor;
    }

    public long Count => _tensor.numel();

    public T this[params long[] indices]
    {
        get => _data[indices.Length == 1 ? Offset(indices[0]) : Offset(indices)];
        set => _data[indices.Length == 1 ? Offset(indices[0]) : Offset(indices)] = value;
    }

    public T[] ToArray()
    {
        var result = new T[Count];
        CopyTo(result);
        return result;
    }

    public void CopyTo(T[] array, int arrayIndex = 0, long tensorIndex = 0) => CopyTo(array.AsSpan(), arrayIndex, tensorIndex);

    public void CopyTo(Span<T> array, int arrayIndex = 0, long tensorIndex = 0)
    {
        var count = (int)Math.Min(Count - tensorIndex, array.Length - arrayIndex);
        var target = array.Slice(arrayIndex, count);
        if (_tensor.is_contiguous())
        {
            new ReadOnlySpan<T>(_data + tensorIndex, count).CopyTo(target);
            return;
        }

        var (shape, strides) = (_tensor.shape, _tensor.stride());
        for (var k = 0; k < count; k++)
            target[k] = _data[Offset(tensorIndex + k, shape, strides)];
    }

    public void CopyFrom(T[] array, int arrayIndex = 0, long tensorIndex = 0)
    {
        var count = (int)Math.Min(Count - tensorIndex, array.Length - arrayIndex);
        var (shape, strides) = (_tensor.shape, _tensor.stride());
        for (var k = 0; k < count; k++)
            _data[Offset(tensorIndex + k, shape, strides)] = array[arrayIndex + k];
    }

    public IEnumerator<T> GetEnumerator() => ((IEnumerable<T>)ToArray()).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public void Dispose()
    {
    }

    private static long Offset(long index, long[] shape, long[] strides)
    {
        var offset = 0L;
        for (var k = shape.Length - 1; k >= 0; k--)
        {
            index = Math.DivRem(index, shape[k], out var place);
            offset += place * strides[k];
        }

        return offset;
    }

    private long Offset(long index)
    {
        if (index < 0 || index >= Count)
            throw new IndexOutOfRangeException();
        return Offset(index, _tensor.shape, _tensor.stride());
    }

    private long Offset(long[] indices)
    {
        var (shape, strides) = (_tensor.shape, _tensor.stride());
        var offset = 0L;
        for (var k = shape.Length - 1; k >= 0; k--)
        {
            if (indices[k] < 0 || indices[k] >= shape[k])
                throw new IndexOutOfRangeException($"{indices[k]} >= {shape[k]} in dimension {k}.");
            offset += indices[k] * strides[k];
        }

        return offset;
    }
}
