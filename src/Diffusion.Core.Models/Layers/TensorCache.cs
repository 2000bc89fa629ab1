using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Small tables that follow from sizes alone, kept for each key, device and type, so that a forward pass makes none on the host.
/// </summary>
internal sealed class TensorCache<TKey> : IDisposable
    where TKey : notnull
{
    private readonly Dictionary<(TKey Key, DeviceType Device, int Index, ScalarType Type), Tensor> _tables = [];
    private readonly Lock _lock = new();

    /// <summary>The table of a key; the cache's.</summary>
    /// <param name="key">What it depends on.</param>
    /// <param name="device">Where it is wanted.</param>
    /// <param name="type">Its element type.</param>
    /// <param name="make">Makes it on the CPU, in any type.</param>
    public Tensor Get(TKey key, Device device, ScalarType type, Func<TKey, Tensor> make)
    {
        var entry = (key, device.type, device.index, type);
        lock (_lock)
        {
            if (_tables.TryGetValue(entry, out var known))
                return known;
            using var made = make(key);
            return _tables[entry] = made.to(type, device, copy: true).DetachFromDisposeScope();
        }
    }

    public void Dispose()
    {
        foreach (var table in _tables.Values)
            table.Dispose();
        _tables.Clear();
    }
}
