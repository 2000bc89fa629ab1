using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// A number that depends on time, looked up for a batch whose samples each have their own t. Over a <see cref="DiscreteSchedule"/> it
/// is tabulated once in double precision; the table is immutable and kept on each device and in each type it was asked for, until
/// the object is disposed. May be used from several threads.
/// </summary>
public sealed class ScheduledValue : IDisposable
{
    private readonly INoiseSchedule _schedule;
    private readonly Func<NoiseLevel, double>? _value;
    private readonly double[]? _table;
    private readonly Dictionary<(DeviceType Device, int Index, ScalarType Type), Tensor> _tensors = [];
    private readonly Lock _lock = new();
    private bool _disposed;

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

        _table = new double[discrete.Steps];
        for (var t = 0; t < _table.Length; t++)
            _table[t] = value(discrete.LevelAt(t), discrete.PreviousLevel(t));
    }

    /// <summary>A table of a discrete schedule, one value for each t in 0..T-1.</summary>
    /// <exception cref="ArgumentException">The table does not have one value for each t.</exception>
    public ScheduledValue(DiscreteSchedule schedule, ReadOnlySpan<double> table)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        if (table.Length != schedule.Steps)
            throw new ArgumentException($"The table must have {schedule.Steps} values, one for each t, got {table.Length}.", nameof(table));
        (_schedule, _table) = (schedule, table.ToArray());
    }

    /// <summary>The values at the times of a batch, shaped to broadcast against <paramref name="like"/>.</summary>
    /// <param name="t">
    /// [B] times: int64 indices 0..T-1 for a discrete schedule, floating point for a continuous one. Indices are checked where they lie
    /// on the CPU; checking them on a GPU would make every step wait for it, and there libtorch's own device assertion speaks.
    /// </param>
    /// <param name="like">[B, ...]; gives the device, the type and the number of dimensions.</param>
    /// <returns>[B, 1, ...]; the caller's.</returns>
    /// <exception cref="ArgumentException">t is not [B], or of the wrong type for the schedule.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A time lies outside the schedule.</exception>
    /// <exception cref="ObjectDisposedException">The table was disposed.</exception>
    public Tensor At(Tensor t, Tensor like)
    {
        Guard.Floating(like);
        if (like.dim() == 0)
            throw new ArgumentException("A sample must have a batch dimension, got a scalar.", nameof(like));
        Guard.Shape(t, [like.shape[0]]);
        var shape = new long[like.dim()];
        Array.Fill(shape, 1L);
        shape[0] = like.shape[0];

        using var values = _table is null ? Compute(t, like) : Gather(t, like);
        return values.view(shape);
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

    private Tensor Gather(Tensor t, Tensor like)
    {
        if (t.dtype != ScalarType.Int64)
            throw new ArgumentException($"The times of a discrete schedule must be Int64 indices, got {t.dtype}.", nameof(t));
        if (t.device_type == DeviceType.CPU)
        {
            foreach (var index in t.data<long>().ToArray())
                RequireTime(index);
        }

        var table = Table(like);
        if (t.device_type == like.device_type && t.device_index == like.device_index)
            return table.index_select(0, t);
        using var moved = t.to(like.device);
        return table.index_select(0, moved);
    }

    private Tensor Table(Tensor like)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var key = (like.device_type, like.device_index, like.dtype);
            if (!_tensors.TryGetValue(key, out var table))
                _tensors[key] = table = tensor(_table!, dtype: like.dtype, device: like.device).DetachFromDisposeScope();
            return table;
        }
    }

    private Tensor Compute(Tensor t, Tensor like)
    {
        if (!t.is_floating_point())
            throw new ArgumentException($"The times of a continuous schedule must be floating point, got {t.dtype}.", nameof(t));
        using var host = t.to(ScalarType.Float64, copy: true);
        using var local = host.cpu();
        var values = local.data<double>().ToArray();
        for (var i = 0; i < values.Length; i++)
        {
            RequireTime(values[i]);
            values[i] = _value!(_schedule.LevelAt(values[i]));
        }

        return tensor(values, dtype: like.dtype, device: like.device);
    }

    private void RequireTime(double t)
    {
        if (!(t >= _schedule.MinTime && t <= _schedule.MaxTime))
            throw new ArgumentOutOfRangeException(
                nameof(t), t, $"Every time must lie in [{_schedule.MinTime}, {_schedule.MaxTime}], the range of the schedule, got {t}.");
    }
}
