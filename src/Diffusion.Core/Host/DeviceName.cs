using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Parses the names of devices in command lines and configuration files.</summary>
public static class DeviceName
{
    /// <summary>Returns the device with a name, and checks that it is available.</summary>
    /// <param name="name">
    /// <c>cpu</c>, <c>cuda</c> (the first CUDA device), <c>cuda:N</c>, or <c>auto</c>: cuda if it is available, otherwise cpu.
    /// </param>
    /// <exception cref="ArgumentException">The name is unknown, or the device is not available.</exception>
    public static Device Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var device = name switch
        {
            "auto" => cuda.is_available() ? new Device(DeviceType.CUDA, 0) : new Device(DeviceType.CPU),
            "cpu" => new Device(DeviceType.CPU),
            "cuda" => new Device(DeviceType.CUDA, 0),
            _ when name.StartsWith("cuda:", StringComparison.Ordinal)
                && int.TryParse(name.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out var index)
                => new Device(DeviceType.CUDA, index),
            _ => throw new ArgumentException($"A device must be auto, cpu, cuda or cuda:N, got '{name}'.", nameof(name)),
        };
        RequireAvailable(device, nameof(name));
        return device;
    }

    /// <summary>Checks that a device is available.</summary>
    /// <exception cref="ArgumentException">The device is not available.</exception>
    internal static void RequireAvailable(Device device, string argument)
    {
        if (device.type != DeviceType.CUDA)
            return;
        var count = cuda.is_available() ? cuda.device_count() : 0;
        if (device.index < count && count > 0)
            return;
        var present = count == 0 ? "this machine has no CUDA device, or its libtorch no CUDA" : $"there are cuda:0 to cuda:{count - 1}";
        throw new ArgumentException(Invariant($"The device {device} is not available: {present}."), argument);
    }
}
