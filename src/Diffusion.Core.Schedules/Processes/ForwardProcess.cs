using System.Collections.Concurrent;
using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// q(x_t | x_0) of any schedule, <c>x_t = alpha_t x_0 + sigma_t eps</c>, with one t for each sample of a batch. Owns its tables, which
/// are kept on every device they were used on until it is disposed; may be used from several threads.
/// </summary>
/// <remarks>Source: Ho et al. 2020, eq. 4, in the notation of Kingma et al. 2021.</remarks>
public class ForwardProcess : IDisposable
{
    private readonly ScheduledPair _marginal;
    private readonly ModelTimesteps _networkTimes;
    private readonly ConcurrentDictionary<(Type Kind, object Key), IDisposable> _tables = new();
    private bool _disposed;

    /// <summary>The forward process of a schedule.</summary>
    public ForwardProcess(INoiseSchedule schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        Schedule = schedule;
        _marginal = new ScheduledPair(schedule, (level, _) => new LinearPair(level.Alpha, level.Sigma));
        _networkTimes = new ModelTimesteps(schedule);
    }

    /// <summary>The schedule.</summary>
    public INoiseSchedule Schedule { get; }

    /// <summary>A draw from q(x_t | x_0), eq. 4.</summary>
    /// <param name="x0">[B, ...] data.</param>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete one, floating point for a continuous one.</param>
    /// <param name="noise">The shape and type of <paramref name="x0"/>, drawn from N(0, I).</param>
    /// <returns>x_t, the shape of <paramref name="x0"/>. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit each other, or a time lies outside the schedule.</exception>
    public Tensor Sample(Tensor x0, Tensor t, Tensor noise) => _marginal.Apply(t, x0, noise);

    /// <summary>The target of a network that predicts <paramref name="prediction"/> at the x_t of <see cref="Sample"/>.</summary>
    /// <param name="prediction">What the network predicts.</param>
    /// <param name="x0">[B, ...] data.</param>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete one, floating point for a continuous one.</param>
    /// <param name="noise">The shape and type of <paramref name="x0"/>: the noise in x_t.</param>
    /// <returns>The shape of <paramref name="x0"/>. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit each other, or a time lies outside the schedule.</exception>
    public Tensor Target(Prediction prediction, Tensor x0, Tensor t, Tensor noise)
    {
        ArgumentNullException.ThrowIfNull(prediction);
        return Tables(prediction, schedule => new ScheduledPair(schedule, prediction.Target)).Apply(t, x0, noise);
    }

    /// <summary>
    /// What a loss derives from the schedule, such as a table of weights: created on first use, kept, and disposed with the
    /// process. So a loss needs no state, and can be used with any number of schedules.
    /// </summary>
    /// <typeparam name="T">What is kept; it must hold no tensor before it is used.</typeparam>
    /// <param name="key">Tells it from others of its type, by equality.</param>
    /// <param name="create">From the schedule; a pure function.</param>
    /// <returns>Owned by the process.</returns>
    /// <exception cref="ObjectDisposedException">The process was disposed.</exception>
    public T Tables<T>(object key, Func<INoiseSchedule, T> create)
        where T : class, IDisposable
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(create);
        ObjectDisposedException.ThrowIf(_disposed, this);
        return (T)_tables.GetOrAdd((typeof(T), key), _ => create(Schedule));
    }

    /// <summary>What a network of some prediction is shown of x_t: x_t itself, or scaled by <see cref="Prediction.InputScale"/>.</summary>
    /// <param name="prediction">What the network predicts.</param>
    /// <param name="xt">[B, ...] from <see cref="Sample"/>.</param>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete one, floating point for a continuous one.</param>
    /// <returns>
    /// The shape of <paramref name="xt"/>, and its memory where nothing is scaled. The caller must dispose the returned tensor.
    /// </returns>
    /// <exception cref="ArgumentException">The shapes do not fit each other, or a time lies outside the schedule.</exception>
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

    /// <summary>The timesteps passed to the network at the times of a batch: <see cref="INoiseSchedule.ModelTimestep"/> of each.</summary>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete one, floating point for a continuous one.</param>
    /// <returns>
    /// The shape and type of <paramref name="t"/>, and its memory where nothing changes; float64 for a discrete schedule whose timesteps are
    /// not whole numbers. The caller must dispose the returned tensor.
    /// </returns>
    /// <exception cref="ArgumentException">t is of another type, or a time lies outside the schedule.</exception>
    public Tensor ModelTimesteps(Tensor t) => _networkTimes.At(t);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the tables.</summary>
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
/// A <see cref="LinearPair"/> that depends on time, applied to a batch whose samples each have their own t. Over a
/// <see cref="DiscreteSchedule"/> the coefficients are tabulated once in double precision and gathered on the device; over any other
/// schedule they are computed for the given times. Owns its tables.
/// </summary>
public sealed class ScheduledPair : IDisposable
{
    private readonly ScheduledValue _first;
    private readonly ScheduledValue _second;

    /// <summary>The pair <paramref name="coefficients"/> of (level at t, level one step before t) over a schedule.</summary>
    /// <param name="schedule">Any schedule; without discrete steps, the earlier level is the level at t itself.</param>
    /// <param name="coefficients">A pure function.</param>
    public ScheduledPair(INoiseSchedule schedule, Func<NoiseLevel, NoiseLevel, LinearPair> coefficients)
    {
        ArgumentNullException.ThrowIfNull(coefficients);
        _first = new ScheduledValue(schedule, (level, previous) => coefficients(level, previous).First);
        _second = new ScheduledValue(schedule, (level, previous) => coefficients(level, previous).Second);
    }

    /// <summary>A pair from two tables of a discrete schedule, one value for each t in 0..T-1.</summary>
    /// <exception cref="ArgumentException">A table does not have one value for each t.</exception>
    public ScheduledPair(DiscreteSchedule schedule, ReadOnlySpan<double> first, ReadOnlySpan<double> second)
        => (_first, _second) = (new ScheduledValue(schedule, first), new ScheduledValue(schedule, second));

    /// <summary><c>First(t) * a + Second(t) * b</c>.</summary>
    /// <param name="t">[B] times: int64 indices for a discrete schedule, floating point for a continuous one.</param>
    /// <param name="a">[B, ...] floating point.</param>
    /// <param name="b">The shape, type and device of <paramref name="a"/>.</param>
    /// <returns>The shape, type and device of <paramref name="a"/>. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit each other, or a time lies outside the schedule.</exception>
    public Tensor Apply(Tensor t, Tensor a, Tensor b)
    {
        Guard.SameShape(a, b);
        Guard.SameType(a, b);
        // The target of a network that predicts the noise, or the data, is there already.
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

/// <summary><see cref="INoiseSchedule.ModelTimestep"/> for a batch whose samples each have their own t. Owns its table.</summary>
internal sealed class ModelTimesteps(INoiseSchedule schedule) : IDisposable
{
    private readonly DeviceTable? _table = schedule is DiscreteSchedule { IsRespaced: true } discrete ? new DeviceTable(Of(discrete)) : null;
    private readonly ScalarType _type = schedule is not DiscreteSchedule discrete || Of(discrete).All(double.IsInteger)
        ? ScalarType.Int64
        : ScalarType.Float64;

    /// <summary>The timesteps passed to the network at the times of a batch.</summary>
    /// <param name="t">[B] times of the schedule.</param>
    /// <returns>
    /// The shape and device of <paramref name="t"/>, and its type; float64 of a discrete schedule whose timesteps are not whole numbers. The
    /// caller must dispose the returned tensor.
    /// </returns>
    public Tensor At(Tensor t)
    {
        ArgumentNullException.ThrowIfNull(t);
        if (_table is not null)
            return _table.Gather(t, t, _type);
        if (schedule is DiscreteSchedule)
            return t.alias();
        return tensor(Array.ConvertAll(ScheduledValue.HostTimes(t, schedule), schedule.ModelTimestep), dtype: t.dtype, device: t.device);
    }

    private static double[] Of(DiscreteSchedule discrete) => [.. Enumerable.Range(0, discrete.Steps).Select(t => discrete.ModelTimestep(t))];

    /// <inheritdoc/>
    public void Dispose() => _table?.Dispose();
}
