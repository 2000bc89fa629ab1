using System.Collections.Concurrent;
using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// The forward process q(x_t | x_0) of any schedule, <c>x_t = alpha_t x_0 + sigma_t eps</c>, with one t for each sample of a batch.
/// The process owns its tables, and stores a copy of them on every device on which they are used until the process is disposed. It can
/// be used from several threads.
/// </summary>
/// <remarks>Source: Ho et al. 2020, eq. 4, in the notation of Kingma et al. 2021.</remarks>
public class ForwardProcess : IDisposable
{
    private readonly ScheduledPair _marginal;
    private readonly ModelTimesteps _networkTimes;
    private readonly ConcurrentDictionary<(Type Kind, object Key), IDisposable> _tables = new();
    private bool _disposed;

    /// <summary>Creates the forward process of a schedule.</summary>
    public ForwardProcess(INoiseSchedule schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        Schedule = schedule;
        _marginal = new ScheduledPair(schedule, (level, _) => new LinearPair(level.Alpha, level.Sigma));
        _networkTimes = new ModelTimesteps(schedule);
    }

    /// <summary>The schedule.</summary>
    public INoiseSchedule Schedule { get; }

    /// <summary>Returns a sample of q(x_t | x_0), eq. 4.</summary>
    /// <param name="x0">[B, ...] the data.</param>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete schedule, floating point for a continuous one.</param>
    /// <param name="noise">The noise, drawn from N(0, I), with the shape and type of <paramref name="x0"/>.</param>
    /// <returns>x_t, with the shape of <paramref name="x0"/>. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not match, or a time is outside the schedule.</exception>
    public Tensor Sample(Tensor x0, Tensor t, Tensor noise) => _marginal.Apply(t, x0, noise);

    /// <summary>
    /// Computes the training target of a network that predicts <paramref name="prediction"/>, for the x_t of <see cref="Sample"/>.
    /// </summary>
    /// <param name="prediction">The prediction type of the network.</param>
    /// <param name="x0">[B, ...] the data.</param>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete schedule, floating point for a continuous one.</param>
    /// <param name="noise">The noise in x_t, with the shape and type of <paramref name="x0"/>.</param>
    /// <returns>The target, with the shape of <paramref name="x0"/>. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not match, or a time is outside the schedule.</exception>
    public Tensor Target(Prediction prediction, Tensor x0, Tensor t, Tensor noise)
    {
        ArgumentNullException.ThrowIfNull(prediction);
        return Tables(prediction, schedule => new ScheduledPair(schedule, prediction.Target)).Apply(t, x0, noise);
    }

    /// <summary>
    /// Returns an object that is derived from the schedule, such as the table of weights of a loss. The object is created on first
    /// use, stored, and disposed with the process, so that a loss needs no state and can be used with any number of schedules.
    /// </summary>
    /// <typeparam name="T">
    /// The type of the object. A new object must not own tensors before it is used: if several threads create it at the same time, all
    /// but one of the objects are discarded without being disposed.
    /// </typeparam>
    /// <param name="key">Identifies the object among those of its type. Keys are compared by equality.</param>
    /// <param name="create">Creates the object from the schedule. It must be a pure function.</param>
    /// <returns>The object. It is owned by the process.</returns>
    /// <exception cref="ObjectDisposedException">The process was disposed.</exception>
    public T Tables<T>(object key, Func<INoiseSchedule, T> create)
        where T : class, IDisposable
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(create);
        ObjectDisposedException.ThrowIf(_disposed, this);
        return (T)_tables.GetOrAdd((typeof(T), key), _ => create(Schedule));
    }

    /// <summary>Returns the input of a network for x_t: x_t itself, or x_t multiplied by <see cref="Prediction.InputScale"/>.</summary>
    /// <param name="prediction">The prediction type of the network.</param>
    /// <param name="xt">[B, ...] x_t, from <see cref="Sample"/>.</param>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete schedule, floating point for a continuous one.</param>
    /// <returns>
    /// The input, with the shape of <paramref name="xt"/>. It shares the memory of <paramref name="xt"/> if the prediction does not
    /// scale the input. The caller must dispose the returned tensor.
    /// </returns>
    /// <exception cref="ArgumentException">The shapes do not match, or a time is outside the schedule.</exception>
    public Tensor NetworkInput(Prediction prediction, Tensor xt, Tensor t)
    {
        ArgumentNullException.ThrowIfNull(prediction);
        ArgumentNullException.ThrowIfNull(xt);
        if (prediction.InputScale is not { } scale)
            return xt.alias();
        using var factor = Tables((nameof(NetworkInput), prediction), schedule => new ScheduledValue(schedule, (level, _) => scale(level)))
            .At(t, xt);
        return xt.mul(factor);
    }

    /// <summary>
    /// Returns the timesteps that are passed to the network at the times of a batch: <see cref="INoiseSchedule.ModelTimestep"/> of
    /// each time.
    /// </summary>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete schedule, floating point for a continuous one.</param>
    /// <returns>
    /// The timesteps, with the shape and type of <paramref name="t"/>, or float64 for a discrete schedule whose timesteps are not
    /// integers. The indices of a discrete schedule that is not respaced are returned unchanged, and share the memory of
    /// <paramref name="t"/>. The caller must dispose the returned tensor.
    /// </returns>
    /// <exception cref="ArgumentException">
    /// t has the wrong type for the schedule, or a time is outside the schedule. Indices that are returned unchanged are not checked.
    /// </exception>
    public Tensor ModelTimesteps(Tensor t) => _networkTimes.At(t);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Disposes the tables.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        _disposed = true;
        _marginal.Dispose();
        _networkTimes.Dispose();
        foreach (var table in _tables.Values)
            table.Dispose();
    }
}

/// <summary>
/// A <see cref="LinearPair"/> that depends on time, applied to a batch with one t for each sample. For a
/// <see cref="DiscreteSchedule"/>, the coefficients are tabulated once in double precision and gathered on the device; for other
/// schedules, they are computed at the given times. The pair owns its tables.
/// </summary>
public sealed class ScheduledPair : IDisposable
{
    private readonly ScheduledValue _first;
    private readonly ScheduledValue _second;

    /// <summary>Creates a pair from a function of the level at t and the level one step before t.</summary>
    /// <param name="schedule">Any schedule. For a continuous schedule, the function receives the level at t in both arguments.</param>
    /// <param name="coefficients">Returns the coefficients for (level at t, level one step before t). It must be a pure function.</param>
    public ScheduledPair(INoiseSchedule schedule, Func<NoiseLevel, NoiseLevel, LinearPair> coefficients)
    {
        ArgumentNullException.ThrowIfNull(coefficients);
        _first = new ScheduledValue(schedule, (level, previous) => coefficients(level, previous).First);
        _second = new ScheduledValue(schedule, (level, previous) => coefficients(level, previous).Second);
    }

    /// <summary>Creates a pair from two tables for a discrete schedule, with one value for each t in 0..T-1.</summary>
    /// <exception cref="ArgumentException">A table does not have one value for each t.</exception>
    public ScheduledPair(DiscreteSchedule schedule, ReadOnlySpan<double> first, ReadOnlySpan<double> second)
        => (_first, _second) = (new ScheduledValue(schedule, first), new ScheduledValue(schedule, second));

    /// <summary>Computes <c>First(t) * a + Second(t) * b</c>.</summary>
    /// <param name="t">[B] times: int64 indices for a discrete schedule, floating point for a continuous one.</param>
    /// <param name="a">[B, ...] a floating point tensor.</param>
    /// <param name="b">A tensor with the shape, type and device of <paramref name="a"/>.</param>
    /// <returns>A tensor with the shape, type and device of <paramref name="a"/>. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not match, or a time is outside the schedule.</exception>
    public Tensor Apply(Tensor t, Tensor a, Tensor b)
    {
        Guard.SameShape(a, b);
        Guard.SameType(a, b);
        // The target of a network that predicts the noise or the data is one of the operands.
        if ((_first.Constant, _second.Constant) is (0.0, 1.0) or (1.0, 0.0))
        {
            _first.Check(t, a);
            return _first.Constant == 0.0 ? b.clone() : a.clone();
        }

        using var first = _first.At(t, a);
        using var second = _second.At(t, a);
        var result = a.mul(first);
        using var rest = b.mul(second);
        result.Add_(rest);
        return result;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _first.Dispose();
        _second.Dispose();
    }
}

/// <summary>
/// The values of <see cref="INoiseSchedule.ModelTimestep"/> for a batch with one t for each sample. The object owns its table.
/// </summary>
internal sealed class ModelTimesteps(INoiseSchedule schedule) : IDisposable
{
    private readonly DeviceTable? _table = schedule is DiscreteSchedule { IsRespaced: true } discrete ? new DeviceTable(Of(discrete)) : null;
    private readonly ScalarType _type = schedule is not DiscreteSchedule discrete || Of(discrete).All(double.IsInteger)
        ? ScalarType.Int64
        : ScalarType.Float64;

    /// <summary>Returns the timesteps that are passed to the network at the times of a batch.</summary>
    /// <param name="t">[B] times of the schedule.</param>
    /// <returns>
    /// The timesteps, with the shape, device and type of <paramref name="t"/>, or float64 for a discrete schedule whose timesteps are
    /// not integers. The caller must dispose the returned tensor.
    /// </returns>
    public Tensor At(Tensor t)
    {
        ArgumentNullException.ThrowIfNull(t);
        if (_table is not null)
            return _table.Gather(t, t, _type);
        if (schedule is DiscreteSchedule)
        {
            DeviceTable.RequireTimes(t, schedule.MinTime, schedule.MaxTime);
            return t.alias();
        }

        return tensor(Array.ConvertAll(ScheduledValue.HostTimes(t, schedule), schedule.ModelTimestep), dtype: t.dtype, device: t.device);
    }

    private static double[] Of(DiscreteSchedule discrete) => [.. Enumerable.Range(0, discrete.Steps).Select(t => discrete.ModelTimestep(t))];

    /// <inheritdoc/>
    public void Dispose() => _table?.Dispose();
}
