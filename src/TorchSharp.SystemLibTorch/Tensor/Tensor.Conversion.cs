using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        private static readonly Operator ToLayout = new("to.dtype_layout");
        private static readonly Operator CloneOf = new("clone");
        private static readonly Operator CopyInPlace = new("copy_");
        private static readonly Operator SetInPlace = new("set_.source_Tensor");
        private static readonly Operator PinMemory = new("pin_memory");

        public static implicit operator Tensor(int value) => FromSpan([value], [], ScalarType.Int32, null, null, false);

        /// <summary>Only makes a number that is passed where a tensor or a scalar fits be taken as a scalar.</summary>
        public static implicit operator Tensor(Scalar scalar) => throw new InvalidOperationException("Should not be called.");

        public Tensor to(ScalarType type, bool copy = false, bool disposeAfter = false, bool non_blocking = false)
            => Convert(type, null, copy, disposeAfter, non_blocking);

        public Tensor to(Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false)
            => Convert(null, device, copy, disposeAfter, non_blocking);

        public Tensor to(ScalarType type, Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false)
            => Convert(type, device, copy, disposeAfter, non_blocking);

        public Tensor cpu() => Convert(null, CPU, false, false, false);

        public Tensor cuda(Device? device = null, bool non_blocking = false)
            => device is null || device.type == DeviceType.CUDA
                ? Convert(null, device ?? new Device(DeviceType.CUDA), false, false, non_blocking)
                : throw new ArgumentException("Not a CUDA device.", nameof(device));

        public Tensor clone() => CloneOf.Call(this);

        public Tensor copy_(Tensor source, bool nonBlocking = false) => InPlace(CopyInPlace, source, nonBlocking);

        public Tensor pin_memory() => PinMemory.Call(this, Value.None);

        public Tensor set_(Tensor source) => InPlace(SetInPlace, source);

        private Tensor Convert(ScalarType? type, Device? device, bool copy, bool disposeAfter, bool nonBlocking)
        {
            if (device is not null)
                InitializeDeviceType(device.type);
            var result = ToLayout.Call(this, type, Value.None, device, Value.None, nonBlocking, copy);
            if (disposeAfter)
                Dispose();
            return result;
        }
    }
}
