using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A cache of small tables, with one entry for each key, device and type, so that a forward pass does not have to create them on the host.
/// The tables depend only on the key, such as a size.
/// </summary>
internal sealed class TensorCache<TKey> : IDisposable
    where TKey : notnull
{
    private readonly Dictionary<(TKey Key, DeviceType Device, int Index, ScalarType Type), Tensor> _tables = [];
    private readonly Lock _lock = new();

    /// <summary>Returns the table of a key. The cache owns the tensor.</summary>
    /// <param name="key">The key on which the table depends.</param>
    /// <param name="device">The device of the table.</param>
    /// <param name="type">The element type of the table.</param>
    /// <param name="create">Creates the table on the CPU, in any type.</param>
    public Tensor Get(TKey key, Device device, ScalarType type, Func<TKey, Tensor> create)
    {
        var entry = (key, device.type, device.index, type);
        lock (_lock)
        {
            if (_tables.TryGetValue(entry, out var known))
                return known;
            using var made = create(key);
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
