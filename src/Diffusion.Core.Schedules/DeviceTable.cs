using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// One number for each t of a discrete schedule, in double precision on the host and kept, once asked for, on each device in each type
/// until it is disposed. May be used from several threads.
/// </summary>
internal sealed class DeviceTable(double[] values) : IDisposable
{
    private readonly Dictionary<(DeviceType Device, int Index, ScalarType Type), Tensor> _tensors = [];
    private readonly Lock _lock = new();
    private bool _disposed;

    /// <summary>The number that all of them are; null where they differ.</summary>
    public double? Constant { get; } = values.AsSpan().ContainsAnyExcept(values[0]) ? null : values[0];

    /// <summary>The numbers at the indices of a batch.</summary>
    /// <param name="t">[B] int64 indices; checked on the CPU alone, since a check on a GPU would make every step wait for it.</param>
    /// <param name="like">Gives the device.</param>
    /// <param name="type">The type of the result.</param>
    /// <returns>[B]; the caller's.</returns>
    /// <exception cref="ArgumentException">t is of another type.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An index lies outside the table.</exception>
    /// <exception cref="ObjectDisposedException">The table was disposed.</exception>
    public Tensor Gather(Tensor t, Tensor like, ScalarType type)
    {
        Check(t);
        var table = On(like, type);
        if (t.device_type == like.device_type && t.device_index == like.device_index)
            return table.index_select(0, t);
        using var moved = t.to(like.device);
        return table.index_select(0, moved);
    }

    /// <summary>Refuses what <see cref="Gather"/> would refuse.</summary>
    public void Check(Tensor t)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed), this);
        if (t.dtype != ScalarType.Int64)
            throw new ArgumentException($"The times of a discrete schedule must be Int64 indices, got {t.dtype}.", nameof(t));
        if (t.device_type != DeviceType.CPU)
            return;
        var indices = t.data<long>().ToArray();
        GC.KeepAlive(t);
        foreach (var index in indices)
            RequireTime(index, 0.0, values.Length - 1.0);
    }

    /// <summary>Refuses a time outside a schedule.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The time lies outside.</exception>
    public static void RequireTime(double t, double min, double max)
    {
        if (!(t >= min && t <= max))
            throw new ArgumentOutOfRangeException(
                nameof(t), t, $"Every time must lie in [{min}, {max}], the range of the schedule, got {t}.");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            foreach (var tensor in _tensors.Values)
                tensor.Dispose();
            _tensors.Clear();
        }
    }

    private Tensor On(Tensor like, ScalarType type)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var key = (like.device_type, like.device_index, type);
            if (!_tensors.TryGetValue(key, out var table))
                _tensors[key] = table = tensor(values, dtype: type, device: like.device).DetachFromDisposeScope();
            return table;
        }
    }
}
