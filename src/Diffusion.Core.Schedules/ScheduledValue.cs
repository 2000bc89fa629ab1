using System.Collections.Concurrent;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// A number that depends on time, looked up for a batch whose samples each have their own t. The table is made once in double
/// precision, immutable, and kept on each device and in each type it was asked for.
/// </summary>
public sealed class ScheduledValue
{
    private readonly INoiseSchedule _schedule;
    private readonly Func<NoiseLevel, NoiseLevel, double> _value;
    private readonly double[]? _table;
    private readonly ConcurrentDictionary<(DeviceType, int, ScalarType), Lazy<Tensor>> _tensors = new();

    /// <summary>The value of (level at t, level one step before t) over a schedule.</summary>
    /// <param name="schedule">Any schedule; without discrete steps, the earlier level is the level at t itself.</param>
    /// <param name="value">Called once for every t of a discrete schedule.</param>
    public ScheduledValue(INoiseSchedule schedule, Func<NoiseLevel, NoiseLevel, double> value)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        ArgumentNullException.ThrowIfNull(value);
        (_schedule, _value) = (schedule, value);
        if (schedule is not DiscreteSchedule discrete)
            return;
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
        _value = (_, _) => double.NaN;
    }

    /// <summary>The values at the times of a batch, shaped to broadcast against <paramref name="like"/>.</summary>
    /// <param name="t">[B] times: int64 indices 0..T-1 for a discrete schedule, floating point for a continuous one.</param>
    /// <param name="like">[B, ...]; gives the device, the type and the number of dimensions.</param>
    /// <returns>[B, 1, ...]; the caller's.</returns>
    /// <exception cref="ArgumentException">t is not [B], or of the wrong type for the schedule.</exception>
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

    private Tensor Gather(Tensor t, Tensor like)
    {
        if (t.dtype != ScalarType.Int64)
            throw new ArgumentException($"The times of a discrete schedule must be Int64 indices, got {t.dtype}.", nameof(t));
        var device = like.device;
        var table = _tensors.GetOrAdd(
            (device.type, device.index, like.dtype),
            key => new Lazy<Tensor>(() => tensor(_table!, dtype: key.Item3, device: device).DetachFromDisposeScope())).Value;
        if (t.device_type == device.type && t.device_index == device.index)
            return table.index_select(0, t);
        using var moved = t.to(device);
        return table.index_select(0, moved);
    }

    private Tensor Compute(Tensor t, Tensor like)
    {
        if (!t.is_floating_point())
            throw new ArgumentException($"The times of a continuous schedule must be floating point, got {t.dtype}.", nameof(t));
        using var host = t.to(ScalarType.Float64).cpu();
        var values = host.data<double>().ToArray();
        for (var i = 0; i < values.Length; i++)
        {
            var level = _schedule.LevelAt(values[i]);
            values[i] = _value(level, level);
        }

        return tensor(values, dtype: like.dtype, device: like.device);
    }
}
