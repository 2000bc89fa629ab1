using System.Numerics;
using TorchSharp.Interop;
using TorchSharp.Utils;

namespace TorchSharp;

public static partial class torch
{
    public unsafe partial class Tensor
    {
        /// <summary>The elements of a contiguous tensor on the CPU, without a copy.</summary>
        public Span<byte> bytes
        {
            get
            {
                var length = NumberOfElements * ElementSize;
                if (!is_contiguous())
                    throw new InvalidOperationException("Bytes() called on non-contiguous tensor.");
                if (length > int.MaxValue)
                    throw new ArgumentException("Span only supports up to int.MaxValue elements.");
                if (device_type != DeviceType.CPU)
                    throw new InvalidOperationException(
                        "Reading data from non-CPU memory is not supported. Move or copy the tensor to the cpu before reading.");
                return new Span<byte>(DataPointer, (int)length);
            }

            set
            {
                if (!is_contiguous())
                    throw new InvalidOperationException("SetBytes() called on non-contiguous tensor.");
                if (NumberOfElements * ElementSize != value.Length)
                    throw new ArgumentException("Mismatched data sizes in SetBytes().");
                value.CopyTo(new Span<byte>(DataPointer, value.Length));
            }
        }

        internal void* DataPointer
        {
            get
            {
                void* data;
                Native.Check(Native.sl_data(Handle, &data));
                GC.KeepAlive(this);
                return data;
            }
        }

        public TensorAccessor<T> data<T>()
            where T : unmanaged
        {
            ValidateType(typeof(T));
            return new TensorAccessor<T>(device_type == DeviceType.CPU ? this : cpu());
        }

        public T item<T>()
            where T : unmanaged
        {
            if (NumberOfElements != 1)
                throw new ArgumentException("Number of elements in the tensor must be 1");
            ValidateType(typeof(T));
            if (device_type == DeviceType.CPU)
                return Kept(*(T*)DataPointer);
            using var host = cpu();
            return host.item<T>();
        }

        private static Type? ElementType(ScalarType type) => type switch
        {
            ScalarType.Byte => typeof(byte),
            ScalarType.Int8 => typeof(sbyte),
            ScalarType.Int16 => typeof(short),
            ScalarType.Int32 => typeof(int),
            ScalarType.Int64 => typeof(long),
            ScalarType.Float16 => typeof(Half),
            ScalarType.Float32 => typeof(float),
            ScalarType.Float64 => typeof(double),
            ScalarType.Bool => typeof(bool),
            ScalarType.ComplexFloat32 => typeof((float, float)),
            ScalarType.ComplexFloat64 => typeof(Complex),
            _ => null,
        };

        private void ValidateType(Type type)
        {
            if (ElementType(dtype) is { } expected && expected != type)
                throw new ArgumentException($"{type.Name} is not compatible with {dtype}");
        }
    }
}
