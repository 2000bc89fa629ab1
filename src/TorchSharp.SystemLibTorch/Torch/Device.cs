using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public static readonly Device CPU = new(DeviceType.CPU);

    private static Device? s_cuda;

    public static Device CUDA => s_cuda ??= InitializeDevice(new Device(DeviceType.CUDA));

    public static Device device(string description) => InitializeDevice(new Device(description));

    internal static Device InitializeDevice(Device? device)
    {
        device ??= CPU;
        InitializeDeviceType(device.type);
        return device;
    }

    internal static void InitializeDeviceType(DeviceType deviceType)
    {
        if (deviceType == DeviceType.MPS)
            throw new InvalidOperationException("Torch device type 'MPS' is not available on this platform.");
        if (deviceType == DeviceType.CUDA && Native.sl_cuda_count() == 0)
            throw new InvalidOperationException("Torch device type CUDA did not initialise on the current machine.");
    }

    /// <summary>Where a tensor lies: a kind of device and, where there are several, which.</summary>
    public class Device
    {
        public Device(string description)
        {
            var parts = description.Split(':');
            type = Enum.Parse<DeviceType>(parts[0].ToUpperInvariant());
            if (parts.Length == 2)
                index = int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture);
        }

        public Device(DeviceType deviceType, int index = -1) => (type, this.index) = (deviceType, index);

        public DeviceType type { get; }

        public int index { get; } = -1;

        public override string ToString()
        {
            var name = type.ToString().ToLowerInvariant();
            return type == DeviceType.CPU || index == -1 ? name : $"{name}:{index}";
        }
    }

    public static class cuda
    {
        public static bool is_available() => Native.sl_cuda_count() != 0;

        public static int device_count() => (int)Native.sl_cuda_count();
    }
}
