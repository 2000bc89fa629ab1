using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public partial class Module
        {
            protected internal virtual Module _to(ScalarType dtype, bool non_blocking)
            {
                RequireFloating(dtype);
                MoveAll(dtype, null, non_blocking);
                return this;
            }

            protected internal virtual Module _to(DeviceType deviceType, int deviceIndex, bool non_blocking)
            {
                InitializeDeviceType(deviceType);
                MoveAll(null, new Device(deviceType, deviceType == DeviceType.CUDA ? deviceIndex : -1), non_blocking);
                return this;
            }

            protected internal virtual Module _to(Device device, ScalarType dtype, bool non_blocking)
            {
                RequireFloating(dtype);
                InitializeDeviceType(device.type);
                MoveAll(dtype, device, non_blocking);
                return this;
            }

            /// <summary>The parameter elsewhere or of another type, as a new object with its gradient; null where nothing changes.</summary>
            private protected static Parameter? Moved(Parameter parameter, ScalarType? dtype, Device? device)
            {
                var type = dtype is not null && (parameter.is_floating_point() || parameter.is_complex()) ? dtype.Value : parameter.dtype;
                var place = device ?? parameter.device;
                using var gradient = parameter.grad;
                if (!WillCopy(parameter, type, place) && (gradient is null || !WillCopy(gradient, type, place)))
                    return null;
                using var mode = no_grad();
                var moved = new Parameter(parameter.to(type, place), parameter.requires_grad);
                moved.DetachFromDisposeScope();
                if (gradient is not null)
                {
                    using var movedGradient = gradient.to(type, place).requires_grad_(gradient.requires_grad);
                    moved.grad = movedGradient;
                }

                return moved;
            }

            private static bool WillCopy(Tensor tensor, ScalarType type, Device device)
                => tensor.dtype != type || tensor.device_type != device.type
                    || (device.type != DeviceType.CPU && device.index >= 0 && tensor.device_index != device.index);

            private static void RequireFloating(ScalarType type)
            {
                if (!is_floating_point(type) && !IsComplex(type))
                    throw new ArgumentException($"nn.Module.to only accepts floating point or complex types, but got desired dtype={type}");
            }

            private void MoveAll(ScalarType? dtype, Device? device, bool nonBlocking)
            {
                foreach (var (_, child) in named_children())
                {
                    if (device is null)
                        child._to(dtype!.Value, nonBlocking);
                    else if (dtype is null)
                        child._to(device.type, device.index, nonBlocking);
                    else
                        child._to(device, dtype.Value, nonBlocking);
                }

                var fields = Fields().ToDictionary(NameOf);
                foreach (var (label, parameter) in named_parameters(false).ToArray())
                {
                    if (Moved(parameter, dtype, device) is not { } moved)
                        continue;
                    if (GetType().GetProperty(label) is { CanWrite: true } property)
                    {
                        property.SetValue(this, moved);
                        continue;
                    }

                    parameter.Dispose();
                    ConditionallyRegisterParameter(label, moved);
                    if (fields.TryGetValue(label, out var field))
                        field.SetValue(this, moved);
                }

                foreach (var (label, buffer) in named_buffers(false).ToArray())
                {
                    var type = dtype is not null && (buffer.is_floating_point() || buffer.is_complex()) ? dtype.Value : buffer.dtype;
                    if (!WillCopy(buffer, dtype ?? buffer.dtype, device ?? buffer.device))
                        continue;
                    var moved = buffer.to(type, device ?? buffer.device, disposeAfter: true).DetachFromDisposeScope();
                    ConditionallyRegisterBuffer(label, moved);
                    if (fields.TryGetValue(label, out var field))
                        field.SetValue(this, moved);
                }
            }
        }
    }
}
