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
    private readonly NetworkTimes _networkTimes;
    private readonly ConcurrentDictionary<(Type Kind, object Key), IDisposable> _tables = new();
    private bool _disposed;

    /// <summary>The forward process of a schedule.</summary>
    public ForwardProcess(INoiseSchedule schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        Schedule = schedule;
        _marginal = new ScheduledPair(schedule, (level, _) => new LinearPair(level.Alpha, level.Sigma));
        _networkTimes = new NetworkTimes(schedule);
    }

    /// <summary>The schedule.</summary>
    public INoiseSchedule Schedule { get; }

    /// <summary>A draw from q(x_t | x_0), eq. 4.</summary>
    /// <param name="x0">[B, ...] data.</param>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete one, floating point for a continuous one.</param>
    /// <param name="noise">The shape and type of <paramref name="x0"/>, drawn from N(0, I).</param>
    /// <returns>x_t, the shape of <paramref name="x0"/>; the caller's.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit each other, or a time lies outside the schedule.</exception>
    public Tensor Sample(Tensor x0, Tensor t, Tensor noise) => _marginal.Apply(t, x0, noise);

    /// <summary>What a network that predicts <paramref name="prediction"/> should answer at the x_t of <see cref="Sample"/>.</summary>
    /// <param name="prediction">What the network predicts.</param>
    /// <param name="x0">[B, ...] data.</param>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete one, floating point for a continuous one.</param>
    /// <param name="noise">The shape and type of <paramref name="x0"/>: the noise that x_t was made with.</param>
    /// <returns>The shape of <paramref name="x0"/>; the caller's.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit each other, or a time lies outside the schedule.</exception>
    public Tensor Target(IPrediction prediction, Tensor x0, Tensor t, Tensor noise)
    {
        ArgumentNullException.ThrowIfNull(prediction);
        return Tables(prediction, schedule => new ScheduledPair(schedule, prediction.Target)).Apply(t, x0, noise);
    }

    /// <summary>
    /// What a loss derives from the schedule, such as a table of weights: made when it is first asked for, kept, and freed with the
    /// process. So a loss needs no state of its own and serves any number of schedules.
    /// </summary>
    /// <typeparam name="T">What is kept; it must hold no tensor before it is used.</typeparam>
    /// <param name="key">Tells it from others of its type, by equality.</param>
    /// <param name="make">From the schedule; a pure function.</param>
    /// <returns>Owned by the process.</returns>
    /// <exception cref="ObjectDisposedException">The process was disposed.</exception>
    public T Tables<T>(object key, Func<INoiseSchedule, T> make)
        where T : class, IDisposable
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(make);
        ObjectDisposedException.ThrowIf(_disposed, this);
        return (T)_tables.GetOrAdd((typeof(T), key), _ => make(Schedule));
    }

    /// <summary>What a network of some prediction is shown of x_t: x_t itself, or scaled by <see cref="IPrediction.InputScale"/>.</summary>
    /// <param name="prediction">What the network predicts.</param>
    /// <param name="xt">[B, ...] as <see cref="Sample"/> made it.</param>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete one, floating point for a continuous one.</param>
    /// <returns>The shape of <paramref name="xt"/>, and its memory where nothing is scaled; the caller's.</returns>
    /// <exception cref="ArgumentException">The shapes do not fit each other, or a time lies outside the schedule.</exception>
    public Tensor NetworkInput(IPrediction prediction, Tensor xt, Tensor t)
    {
        ArgumentNullException.ThrowIfNull(prediction);
        ArgumentNullException.ThrowIfNull(xt);
        if (prediction.InputScale is not { } scale)
            return xt.alias();
        using var factor = Tables((nameof(NetworkInput), prediction), schedule => new ScheduledValue(schedule, (level, _) => scale(level)))
            .At(t, xt);
        return xt.mul(factor);
    }

    /// <summary>What a network is told at the times of a batch: <see cref="INoiseSchedule.NetworkTime"/> of each.</summary>
    /// <param name="t">[B] times of the schedule: int64 indices for a discrete one, floating point for a continuous one.</param>
    /// <returns>The shape and type of <paramref name="t"/>, and its memory where nothing changes; the caller's.</returns>
    /// <exception cref="ArgumentException">t is of another type, or a time lies outside the schedule.</exception>
    public Tensor NetworkTimes(Tensor t) => _networkTimes.At(t);

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
