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
        _data = (T*)tensor.DataPointer;
        _tensor = tensor;
    }

    public long Count => _tensor.numel();

    public T[] ToArray()
    {
        var result = new T[Count];
        if (_tensor.is_contiguous())
        {
            new ReadOnlySpan<T>(_data, result.Length).CopyTo(result);
        }
        else
        {
            var (shape, strides) = (_tensor.shape, _tensor.stride());
            for (var k = 0; k < result.Length; k++)
                result[k] = _data[Offset(k, shape, strides)];
        }

        GC.KeepAlive(_tensor);
        return result;
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
}
