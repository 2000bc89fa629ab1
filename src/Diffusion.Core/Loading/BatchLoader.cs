using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Returns the batches of a run step by step, and loads the next ones on background threads. The samples of a step and their
/// augmentation are a function of (seed, step) only, and do not depend on the order in which threads finish. A loader created at a
/// later step therefore continues exactly where another stopped.
/// </summary>
/// <remarks>
/// <para>The caller must dispose each batch. Batches of an <see cref="IBufferedDataset"/> use memory that is reused: dispose each when its
/// step is completed, and keep no tensor that shares memory with it.</para>
/// <para>A loader is not thread-safe. Several loaders can be used at the same time.</para>
/// </remarks>
/// <typeparam name="TBatch">The type of a batch.</typeparam>
public sealed partial class BatchLoader<TBatch> : IDisposable
    where TBatch : IDisposable
{
    private readonly IDataset<TBatch> _dataset;
    private readonly BufferedBatches? _buffers;
    private readonly DataOrder _order;
    private readonly int _batchSize;
    private readonly Thread[] _threads;
    private readonly CancellationTokenSource _stop = new();

    // Worker threads acquire this lock before the other one, so that a new epoch can be shuffled while batches are returned.
    private readonly object _claims = new();
    private readonly object _gate = new();
    private readonly Outcome?[] _outcomes;
    private long _claimed;
    private bool _noMoreClaims;
    private bool _stopped;
    private Exception? _fault;
    private BatchLoadException? _failure;

    /// <summary>Initializes a new instance of the <see cref="BatchLoader{TBatch}"/> class and starts its threads.</summary>
    /// <param name="dataset">The data set. Its number of samples must not change.</param>
    /// <param name="batchSize">B, the number of samples in each batch. It may exceed the number of samples.</param>
    /// <param name="seed">The seed of the run, which determines order and augmentation.</param>
    /// <param name="options">The options. The default is a new <see cref="LoaderOptions"/>.</param>
    /// <param name="device">The device to which batches are moved. For a CUDA device they are in pinned memory.</param>
    /// <exception cref="ArgumentException">The data set is empty, or a number is out of range.</exception>
    public BatchLoader(
        IDataset<TBatch> dataset, int batchSize, long seed, LoaderOptions? options = null, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        Guard.InRange(batchSize, 1, int.MaxValue);
        options ??= new LoaderOptions();
        options.Validate();
        var count = dataset.Count;
        if (count < 1)
            throw new ArgumentException($"A data set must have at least one sample, got {count}.", nameof(dataset));
        if (dataset is IBufferedDataset buffered && HostBuffer.Holds(buffered, batchSize))
            _buffers = new BufferedBatches(buffered, batchSize, pinned: device?.type == DeviceType.CUDA);
        _dataset = _buffers as IDataset<TBatch> ?? dataset;
        _order = new DataOrder(seed, count, batchSize);
        (_batchSize, Step, _claimed) = (batchSize, options.FirstStep, options.FirstStep);
        _outcomes = new Outcome?[options.PrefetchFactor];
        var workers = dataset.Threading switch
        {
            LoadThreading.Caller => 0,
            LoadThreading.OneAtATime => Math.Min(options.Workers, 1),
            _ => Math.Min(options.Workers, options.PrefetchFactor),
        };
        _threads = new Thread[workers];
        for (var i = 0; i < workers; i++)
        {
            _threads[i] = new Thread(Work) { IsBackground = true, Name = $"Batch loader {i}" };
            _threads[i].Start();
        }
    }

    /// <summary>The step of the next batch: the number of steps before it.</summary>
    public long Step { get; private set; }

    /// <summary>The indices of the samples of the last returned batch, in order. Empty before the first.</summary>
    public IReadOnlyList<long> Indices { get; private set; } = [];

    /// <summary>The total time of all calls of <see cref="Next"/>: the time that training waited for data.</summary>
    public TimeSpan Waited { get; private set; }

    /// <summary>
    /// Returns the batch of <see cref="Step"/>, and increases the step by one. Waits only if the batch is not loaded yet.
    /// </summary>
    /// <param name="cancellationToken">Cancels the wait. The loader is not changed.</param>
    /// <returns>The batch. The caller must dispose it.</returns>
    /// <exception cref="BatchLoadException">The data set could not load this batch. All later calls throw too.</exception>
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

    /// <summary>Stops the threads, waits for batches that are being loaded, and disposes all batches that were not returned.</summary>
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

/// <summary>The options of loading batches ahead of the steps that use them. They do not change the content of batches.</summary>
public sealed record LoaderOptions
{
    /// <summary>
    /// The number of background threads that load batches. The default is 2. With 0, each batch is loaded when it is requested, on the
    /// calling thread. Data sets may limit the number: see <see cref="LoadThreading"/>.
    /// </summary>
    public int Workers { get; init; } = 2;

    /// <summary>
    /// The maximum number of batches that are loaded or being loaded, in addition to the one in use. The default is 4. PyTorch's
    /// <c>prefetch_factor</c> counts them per worker; this is their total.
    /// </summary>
    public int PrefetchFactor { get; init; } = 4;

    /// <summary>
    /// The step of the first batch: the number of steps before it. The default is 0. A trainer sets it to its current step.
    /// </summary>
    public long FirstStep { get; init; }

    /// <exception cref="ArgumentOutOfRangeException">A value is out of range.</exception>
    internal void Validate()
    {
        Guard.InRange(FirstStep, 0, long.MaxValue);
        Guard.InRange(Workers, 0, 1024);
        Guard.InRange(PrefetchFactor, 1, 1 << 16);
    }
}

/// <summary>Specifies on which threads a data set may be loaded.</summary>
public enum LoadThreading
{
    /// <summary>Only on the training thread, between its steps. Batches are not loaded ahead.</summary>
    Caller,

    /// <summary>On any thread, but on one at a time.</summary>
    OneAtATime,

    /// <summary>On any number of threads at the same time.</summary>
    Concurrent,
}
