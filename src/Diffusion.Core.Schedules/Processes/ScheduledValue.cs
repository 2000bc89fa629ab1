using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// A number that depends on time, looked up for a batch whose samples each have their own t. Over a <see cref="DiscreteSchedule"/> it
/// is tabulated once in double precision; the table is immutable and kept on each device and in each type in which it was used, until
/// the object is disposed. May be used from several threads.
/// </summary>
public sealed class ScheduledValue : IDisposable
{
    private readonly INoiseSchedule _schedule;
    private readonly Func<NoiseLevel, double>? _value;
    private readonly DeviceTable? _table;

    /// <summary>The value of (level at t, level one step before t) over a schedule.</summary>
    /// <param name="schedule">Any schedule; without discrete steps, the earlier level is the level at t itself.</param>
    /// <param name="value">A pure function; called once for every t of a discrete schedule.</param>
    public ScheduledValue(INoiseSchedule schedule, Func<NoiseLevel, NoiseLevel, double> value)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(value);
        _schedule = schedule;
        if (schedule is not DiscreteSchedule discrete)
        {
            _value = level => value(level, level);
            return;
        }

        var table = new double[discrete.Steps];
        for (var t = 0; t < table.Length; t++)
            table[t] = value(discrete.LevelAt(t), discrete.PreviousLevel(t));
        _table = new DeviceTable(table);
    }

    /// <summary>A table of a discrete schedule, one value for each t in 0..T-1.</summary>
    /// <exception cref="ArgumentException">The table does not have one value for each t.</exception>
    public ScheduledValue(DiscreteSchedule schedule, ReadOnlySpan<double> table)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        if (table.Length != schedule.Steps)
            throw new ArgumentException($"The table must have {schedule.Steps} values, one for each t, got {table.Length}.", nameof(table));
        (_schedule, _table) = (schedule, new DeviceTable(table.ToArray()));
    }

    /// <summary>The value where it is the same at all times of a discrete schedule; else null.</summary>
    internal double? Constant => _table?.Constant;

    /// <summary>The values at the times of a batch, shaped to broadcast against <paramref name="like"/>.</summary>
    /// <param name="t">
    /// [B] times: int64 indices 0..T-1 for a discrete schedule, floating point for a continuous one. Indices are checked where they lie
    /// on the CPU; every step would wait for a check on a GPU, and the device assertion of libtorch reports them. Times of a
    /// continuous schedule belong on the CPU: otherwise every step waits to read them from a GPU.
    /// </param>
    /// <param name="like">[B, ...]; gives the device, the type and the number of dimensions.</param>
    /// <returns>[B, 1, ...]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">t is not [B], or of the wrong type for the schedule.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A time lies outside the schedule.</exception>
    /// <exception cref="ObjectDisposedException">The table was disposed.</exception>
    public Tensor At(Tensor t, Tensor like)
    {
        CheckShapes(t, like);
        var shape = new long[like.dim()];
        Array.Fill(shape, 1L);
        shape[0] = like.shape[0];

        using var values = _table is null ? Compute(t, like) : _table.Gather(t, like, like.dtype);
        return values.view(shape);
    }

    /// <inheritdoc/>
    public void Dispose() => _table?.Dispose();

    /// <summary>Throws for what <see cref="At"/> throws for.</summary>
    internal void Check(Tensor t, Tensor like)
    {
        CheckShapes(t, like);
        _table?.Check(t);
    }

    private static void CheckShapes(Tensor t, Tensor like)
    {
        Guard.Floating(like);
        if (like.dim() == 0)
            throw new ArgumentException("A sample must have a batch dimension, got a scalar.", nameof(like));
        Guard.Shape(t, [like.shape[0]]);
    }

    private Tensor Compute(Tensor t, Tensor like)
    {
        if (!t.is_floating_point())
            throw new ArgumentException($"The times of a continuous schedule must be floating point, got {t.dtype}.", nameof(t));
        using var result = tensor(Array.ConvertAll(HostTimes(t, _schedule), time => _value!(_schedule.LevelAt(time))), dtype: like.dtype);
        return result.to(like.device, non_blocking: true);
    }

    /// <summary>The times of a batch in double precision. A time that its type has rounded beyond an end of the schedule is that end.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A time lies outside the schedule.</exception>
    internal static double[] HostTimes(Tensor t, INoiseSchedule schedule)
    {
        using var host = t.to(ScalarType.Float64, copy: true);
        using var local = host.cpu();
        var (min, max) = (schedule.MinTime, schedule.MaxTime);
        var rounding = finfo(t.dtype).eps * Math.Max(Math.Abs(min), Math.Abs(max));
        return Array.ConvertAll(local.data<double>().ToArray(), time =>
        {
            var inside = Math.Clamp(time, min, max);
            DeviceTable.RequireTime(Math.Abs(time - inside) <= rounding ? inside : time, min, max);
            return inside;
        });
    }
}

/// <summary>
/// One number for each t of a discrete schedule, in double precision on the host and kept, once used, on each device in each type
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
    /// <param name="t">[B] int64 indices; checked on the CPU only, since every step would wait for a check on a GPU.</param>
    /// <param name="like">Gives the device.</param>
    /// <param name="type">The type of the result.</param>
    /// <returns>[B]. The caller must dispose the returned tensor.</returns>
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

    /// <summary>Throws for what <see cref="Gather"/> throws for.</summary>
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

    /// <summary>Throws for a time outside a schedule.</summary>
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
