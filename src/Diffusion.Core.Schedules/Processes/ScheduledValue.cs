using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// A number that depends on time, for a batch with one t for each sample. For a <see cref="DiscreteSchedule"/>, it is tabulated once
/// in double precision; a copy of the table is stored on each device and in each type in which it is used, until the object is
/// disposed. The object can be used from several threads.
/// </summary>
public sealed class ScheduledValue : IDisposable
{
    private readonly INoiseSchedule _schedule;
    private readonly Func<NoiseLevel, double>? _value;
    private readonly DeviceTable? _table;

    /// <summary>Creates a value from a function of the level at t and the level one step before t.</summary>
    /// <param name="schedule">Any schedule. For a continuous schedule, the function receives the level at t in both arguments.</param>
    /// <param name="value">
    /// Returns the value for (level at t, level one step before t). It must be a pure function. For a discrete schedule, it is called
    /// once for every t.
    /// </param>
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

    /// <summary>Creates a value from a table for a discrete schedule, with one number for each t in 0..T-1.</summary>
    /// <exception cref="ArgumentException">The table does not have T values.</exception>
    public ScheduledValue(DiscreteSchedule schedule, ReadOnlySpan<double> table)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        if (table.Length != schedule.Steps)
            throw new ArgumentException($"The table must have {schedule.Steps} values, one for each t, got {table.Length}.", nameof(table));
        (_schedule, _table) = (schedule, new DeviceTable(table.ToArray()));
    }

    /// <summary>The value if it is the same at all times of a discrete schedule; otherwise <see langword="null"/>.</summary>
    internal double? Constant => _table?.Constant;

    /// <summary>Returns the values at the times of a batch, with a shape that broadcasts against <paramref name="like"/>.</summary>
    /// <param name="t">
    /// [B] times: int64 indices 0..T-1 for a discrete schedule, floating point for a continuous one. Indices are checked on the CPU
    /// only, since a check on a GPU would require a synchronization in every step; on a GPU, an assertion of libtorch reports invalid
    /// indices. Times of a continuous schedule should be on the CPU: reading them from a GPU requires a synchronization.
    /// </param>
    /// <param name="like">[B, ...] a tensor that determines the device, the type and the number of dimensions of the result.</param>
    /// <returns>[B, 1, ...] the values. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">t does not have the shape [B], or has the wrong type for the schedule.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A time is outside the schedule.</exception>
    /// <exception cref="ObjectDisposedException">The object was disposed.</exception>
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

    /// <summary>Checks the arguments as <see cref="At"/> does, for a value with a table.</summary>
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

    /// <summary>
    /// Returns the times of a batch in double precision. A time that exceeds an end of the schedule by no more than the rounding error
    /// of its type is replaced by that end.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">A time is outside the schedule.</exception>
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
/// A table with one number for each t of a discrete schedule, in double precision on the host. A copy is stored on each device and in
/// each type in which it is used, until the table is disposed. The table can be used from several threads.
/// </summary>
internal sealed class DeviceTable(double[] values) : IDisposable
{
    private readonly Dictionary<(DeviceType Device, int Index, ScalarType Type), Tensor> _tensors = [];
    private readonly Lock _lock = new();
    private bool _disposed;

    /// <summary>The value that all entries have; <see langword="null"/> if they differ.</summary>
    public double? Constant { get; } = values.AsSpan().ContainsAnyExcept(values[0]) ? null : values[0];

    /// <summary>Returns the entries at the indices of a batch.</summary>
    /// <param name="t">
    /// [B] int64 indices. They are checked on the CPU only, since a check on a GPU would require a synchronization in every step.
    /// </param>
    /// <param name="like">A tensor on the device of the result.</param>
    /// <param name="type">The type of the result.</param>
    /// <returns>[B] the entries. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">t does not have the type int64.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An index is outside the table.</exception>
    /// <exception cref="ObjectDisposedException">The object was disposed.</exception>
    public Tensor Gather(Tensor t, Tensor like, ScalarType type)
    {
        Check(t);
        var table = On(like, type);
        if (t.device_type == like.device_type && t.device_index == like.device_index)
            return table.index_select(0, t);
        using var moved = t.to(like.device);
        return table.index_select(0, moved);
    }

    /// <summary>Checks the indices as <see cref="Gather"/> does.</summary>
    public void Check(Tensor t)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed), this);
        if (t.dtype != ScalarType.Int64)
            throw new ArgumentException($"The times of a discrete schedule must be Int64 indices, got {t.dtype}.", nameof(t));
        RequireTimes(t, 0.0, values.Length - 1.0);
    }

    /// <summary>Throws an exception if a time of a batch on the CPU is outside the range of a schedule.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A time is outside the range.</exception>
    public static void RequireTimes(Tensor t, double min, double max)
    {
        if (t.device_type != DeviceType.CPU)
            return;
        using var times = t.to(ScalarType.Float64, copy: true);
        foreach (var time in times.data<double>().ToArray())
            RequireTime(time, min, max);
        GC.KeepAlive(times);
    }

    /// <summary>Throws an exception if a time is outside the range of a schedule.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The time is outside the range.</exception>
    public static void RequireTime(double t, double min, double max)
    {
        if (!(t >= min && t <= max))
            throw new ArgumentOutOfRangeException(
                nameof(t), t, Invariant($"Every time must lie in [{min}, {max}], the range of the schedule, got {t}."));
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
