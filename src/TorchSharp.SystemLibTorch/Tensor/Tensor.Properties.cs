using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public unsafe partial class Tensor
    {
        internal long Dimensions => Kept(Native.sl_dim(Handle));

        public long ndim => Dimensions;

        internal long NumberOfElements => Kept(Native.sl_numel(Handle));

        internal long ElementSize => Kept(Native.sl_element_size(Handle));

        public long[] shape => size();

        public ScalarType dtype => (ScalarType)Kept(Native.sl_dtype(Handle));

        public DeviceType device_type => (DeviceType)Kept(Native.sl_device_type(Handle));

        public int device_index => Kept(Native.sl_device_index(Handle));

        public Device device => device_type == DeviceType.CPU ? new Device(DeviceType.CPU) : new Device(device_type, device_index);

        public bool is_leaf => Kept(Native.sl_is_leaf(Handle)) != 0;

        public long dim() => Dimensions;

        public long numel() => NumberOfElements;

        public long element_size() => ElementSize;

        public long storage_offset() => Kept(Native.sl_storage_offset(Handle));

        public bool is_contiguous() => Kept(Native.sl_is_contiguous(Handle)) != 0;

        public bool is_floating_point() => torch.is_floating_point(dtype);

        internal bool is_complex() => IsComplex(dtype);

        internal long[] size() => Numbers(Native.sl_sizes(Handle));

        public long size(int dim) => Number(Native.sl_sizes(Handle), dim);

        public long[] stride() => Numbers(Native.sl_strides(Handle));

        private T Kept<T>(T value)
        {
            GC.KeepAlive(this);
            return value;
        }

        private long[] Numbers(long* numbers)
        {
            var copy = new ReadOnlySpan<long>(numbers, (int)Dimensions).ToArray();
            GC.KeepAlive(this);
            return copy;
        }

        private long Number(long* numbers, int dim)
        {
            var count = Dimensions;
            if (dim < -count || dim >= count)
                throw new System.Runtime.InteropServices.ExternalException(
                    $"Dimension out of range (expected to be in range of [{-count}, {count - 1}], but got {dim})");
            var number = numbers[dim < 0 ? dim + count : dim];
            GC.KeepAlive(this);
            return number;
        }
    }
}
