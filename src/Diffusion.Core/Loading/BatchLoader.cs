using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Hands out the batches of a run step by step, and loads the next ones on threads of its own meanwhile. Which samples a step gets, and
/// their augmentation, follow from (seed, step) alone, whatever thread finishes first; so a loader made at a later step goes on exactly
/// where another stopped.
/// </summary>
/// <remarks>
/// <para>A batch belongs to who takes it. Batches of an <see cref="IBufferedDataset"/> come in memory that is used again: dispose each when
/// its step is done, and keep nothing that shares memory with it.</para>
/// <para>Not safe for several threads at once; several loaders are.</para>
/// </remarks>
/// <typeparam name="TBatch">A batch.</typeparam>
public sealed partial class BatchLoader<TBatch> : IDisposable
    where TBatch : IDisposable
{
    private readonly IDataset<TBatch> _dataset;
    private readonly BufferedBatches? _buffers;
    private readonly DataOrder _order;
    private readonly int _batchSize;
    private readonly Thread[] _threads;
    private readonly CancellationTokenSource _stop = new();

    // Taken before the other one by threads that want work, so that a new epoch is shuffled while batches are handed out.
    private readonly object _claims = new();
    private readonly object _gate = new();
    private readonly Outcome?[] _outcomes;
    private long _claimed;
    private bool _noMoreClaims;
    private bool _stopped;
    private BatchLoadException? _failure;

    /// <summary>A loader at a step; its threads start at once.</summary>
    /// <param name="dataset">The data; its number of samples must not change.</param>
    /// <param name="batchSize">B, samples in each batch; may exceed the number of samples.</param>
    /// <param name="seed">The seed of the run: decides order and augmentation.</param>
    /// <param name="firstStep">The step whose batch comes first: the number of steps before it.</param>
    /// <param name="options">How; the defaults where null.</param>
    /// <param name="device">Where the batches go to: for a CUDA device they come in pinned memory.</param>
    /// <exception cref="ArgumentException">The data set is empty, or a number is out of range.</exception>
    public BatchLoader(
        IDataset<TBatch> dataset, int batchSize, long seed, long firstStep = 0, LoaderOptions? options = null, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        Guard.InRange(batchSize, 1, int.MaxValue);
        Guard.InRange(firstStep, 0, long.MaxValue);
        options ??= new LoaderOptions();
        options.Validate();
        var count = dataset.Count;
        if (count < 1)
            throw new ArgumentException($"A data set must have at least one sample, got {count}.", nameof(dataset));
        if (dataset is IBufferedDataset buffered && HostBuffer.Holds(buffered, batchSize))
            _buffers = new BufferedBatches(buffered, batchSize, pinned: device?.type == DeviceType.CUDA);
        _dataset = _buffers as IDataset<TBatch> ?? dataset;
        _order = new DataOrder(seed, count, batchSize);
        (_batchSize, Step, _claimed) = (batchSize, firstStep, firstStep);
        _outcomes = new Outcome?[options.Depth];
        var workers = dataset.Threading switch
        {
            LoadThreading.Caller => 0,
            LoadThreading.OneAtATime => Math.Min(options.Workers, 1),
            _ => Math.Min(options.Workers, options.Depth),
        };
        _threads = new Thread[workers];
        for (var i = 0; i < workers; i++)
        {
            _threads[i] = new Thread(Work) { IsBackground = true, Name = $"Batch loader {i}" };
            _threads[i].Start();
        }
    }

    /// <summary>The step whose batch comes next: the number of steps before it.</summary>
    public long Step { get; private set; }

    /// <summary>The samples of the batch that was handed out last, in order; empty before the first.</summary>
    public IReadOnlyList<long> Indices { get; private set; } = [];

    /// <summary>The time that all calls of <see cref="Next"/> took together: what training waited for data.</summary>
    public TimeSpan Waited { get; private set; }

    /// <summary>The batch of <see cref="Step"/>, which then moves on by one. Waits only where it is not loaded yet.</summary>
    /// <param name="cancellationToken">Ends the waiting; the loader stays as it is.</param>
    /// <returns>The caller's.</returns>
    /// <exception cref="BatchLoadException">The data set failed at this batch. The loader ends there.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public TBatch Next(CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_stopped, this);
        cancellationToken.ThrowIfCancellationRequested();
        if (_failure is not null)
            throw _failure;
        var started = Stopwatch.GetTimestamp();
        try
        {
            var outcome = _threads.Length == 0 ? LoadHere(cancellationToken) : Take(cancellationToken);
            if (outcome.Failure is not null)
                throw _failure = outcome.Failure;
            Indices = outcome.Indices;
            return outcome.Batch!;
        }
        finally
        {
            Waited += Stopwatch.GetElapsedTime(started);
        }
    }

    /// <summary>Ends the threads, waiting for batches in the making, and frees all that was not handed out.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_stopped)
                return;
            _stopped = true;
            Monitor.PulseAll(_gate);
        }

        try
        {
            _stop.Cancel();
        }
        finally
        {
            foreach (var thread in _threads)
                thread.Join();
            foreach (var outcome in _outcomes)
                outcome?.Batch?.Dispose();
            _buffers?.Dispose();
            _stop.Dispose();
        }
    }
}

/// <summary>How batches are loaded ahead of the steps that need them. Nothing here changes what they hold.</summary>
public sealed record LoaderOptions
{
    /// <summary>
    /// Threads that load: 2. With 0 each batch is loaded when it is asked for, on the thread that asks. Data sets may limit them: see
    /// <see cref="LoadThreading"/>.
    /// </summary>
    public int Workers { get; init; } = 2;

    /// <summary>Batches that may be ready or in the making, beside the one in use: 4.</summary>
    public int Depth { get; init; } = 4;

    /// <exception cref="ArgumentOutOfRangeException">A value is out of range.</exception>
    internal void Validate()
    {
        Guard.InRange(Workers, 0, 1024);
        Guard.InRange(Depth, 1, 1 << 16);
    }
}

/// <summary>On which threads a data set may be loaded.</summary>
public enum LoadThreading
{
    /// <summary>Only on the thread that trains, between its steps; batches are not loaded ahead.</summary>
    Caller,

    /// <summary>On any thread, but never on two at once.</summary>
    OneAtATime,

    /// <summary>On any number of threads at once.</summary>
    Concurrent,
}
