using System.Diagnostics;
using System.Runtime;
using Diffusion.Core.Data;
using Diffusion.Core.Evaluation;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Diffusion.Core.FaultHost;

/// <summary>
/// Trains, samples and evaluates while another thread does nothing but allocate and collect, so that every object that native code reads
/// and nothing keeps alive is finalized sooner or later.
/// </summary>
internal sealed class CollectionRun : ILogger, IDisposable
{
    /// <summary>The situations in which training on the package failed before numbers were kept alive.</summary>
    public static readonly string[] Situations = ["images", "allocating-data", "allocating-thread", "no-workers"];

    private const int Samplers = 2;
    private const int SamplerSteps = 50;
    private const long CallbackEvery = 1000;

    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();

    private readonly CancellationTokenSource _ended = new();
    private readonly List<Thread> _threads = [];
    private long _collections;
    private long _sampled;
    private long _warnings;

    /// <summary>Runs to the end, or throws what failed.</summary>
    public void Run(string situation, long steps, long samplerSteps)
    {
        Start(Collect);
        if (situation == "allocating-thread")
            Start(() => GC.KeepAlive(new byte[20_000]));
        set_num_threads(1);
        manual_seed(1);
        var clock = Stopwatch.StartNew();
        if (situation == "images")
            TrainOnImages(steps);
        else
            TrainOnPoints(situation, steps, samplerSteps);
        Console.WriteLine(
            $"{situation}, concurrent collection {(GCSettings.LatencyMode == GCLatencyMode.Batch ? "off" : "on")}: "
            + $"{steps} training steps, {_sampled} sampler steps, {_collections} collections, {_warnings} warnings, {clock.Elapsed.TotalSeconds:F0} s");
        if (_warnings > 0)
            throw new InvalidOperationException($"{_warnings} warnings were logged; a step that had to be repeated is a failure.");
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        Interlocked.Increment(ref _warnings);
        Console.WriteLine(formatter(state, exception));
    }

    public void Dispose()
    {
        _ended.Cancel();
        foreach (var thread in _threads)
            thread.Join();
        _ended.Dispose();
    }

    private void TrainOnImages(long steps)
    {
        var folder = Directory.CreateTempSubdirectory("diffusion-core-");
        try
        {
            for (var k = 0; k < 64; k++)
            {
                using var image = randn(1, 3, 128, 128).mul_(0.3);
                ImageGrid.SavePng(image, Path.Combine(folder.FullName, $"{k}.png"), padding: 0);
            }

            using var network = new UNet(new UNetOptions
            {
                ImageSize = 16,
                Channels = 3,
                Width = 16,
                Multipliers = [1, 2],
                LayersPerBlock = 1,
                GroupNormGroups = 4,
                HeadWidth = 8,
                AttentionResolutions = [8],
            });
            using var trainer = new DdpmTrainer(network, _schedule, new SimpleLoss(), Options(steps, batchSize: 32, workers: null), this);
            trainer.Fit(new ImageFolder(folder.FullName, new ImageFolderOptions { Size = (16, 16) }));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private void TrainOnPoints(string situation, long steps, long samplerSteps)
    {
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 32, Layers = 2 });
        DdpmTrainer? trainer = null;
        var options = Options(steps, batchSize: 32, workers: situation == "no-workers" ? 0 : null) with
        {
            Callbacks = [Every.Steps(CallbackEvery, _ => Draw(trainer!.Ema, new DdimSampler(10), 10))],
        };
        using (trainer = new DdpmTrainer(network, _schedule, new SimpleLoss(), options, this))
        {
            trainer.Fit(situation == "allocating-data" ? new AllocatingPoints() : PointDataset.EightGaussians(seed: 1, count: 1000));
        }

        // The remaining sampler steps on several threads, which share the network.
        using var model = new DiffusionModel(network, _schedule);
        var failures = new List<Exception>();
        var threads = Enumerable.Range(0, Samplers).Select(number => new Thread(() =>
        {
            try
            {
                while (Interlocked.Read(ref _sampled) < samplerSteps)
                    DrawWithAll(model, number);
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                lock (failures)
                    failures.Add(e);
            }
        })).ToArray();
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        if (failures.Count > 0)
            throw new AggregateException(failures);
    }

    private static TrainerOptions Options(long steps, int batchSize, int? workers) => new()
    {
        Steps = steps,
        BatchSize = batchSize,
        Seed = 2,
        LearningRate = 1e-3,
        LogEvery = 100,
        Loader = workers is { } count ? new LoaderOptions { Workers = count } : new LoaderOptions(),
    };

    private void DrawWithAll(DiffusionModel model, int number)
    {
        var grid = TimeSpacing.Trailing.CreateGrid(_schedule, SamplerSteps);
        ISolver[] solvers = [new DpmMultistepSolver(), new UniPcSolver(2), new HeunSolver(), new AncestralSolver()];
        Draw(model, new DiffusionSampler(grid, solvers[number % solvers.Length]), SamplerSteps);
        Draw(model, new DiffusionSampler(grid, solvers[(number + Samplers) % solvers.Length]), SamplerSteps);
        using var points = zeros(4, 2);
        using var bits = new ProbabilityFlowLikelihood().LogDensity(model, points, new LikelihoodRequest { Seed = number });
        Require(bits);
    }

    private void Draw(DiffusionModel model, ISampler sampler, int steps)
    {
        using var samples = sampler.Sample(model, new SamplingRequest { Shape = [16, 2], Seed = 3 });
        Require(samples);
        Interlocked.Add(ref _sampled, steps);
    }

    private static void Require(Tensor values)
    {
        using var finite = values.isfinite();
        using var all = finite.all();
        if (!all.item<bool>())
            throw new InvalidOperationException("A result is not finite.");
    }

    private void Collect()
    {
        // Some milliseconds pass from one collection to the next, so that training gets on as well.
        for (var k = 0; k < 400; k++)
            GC.KeepAlive(new byte[20_000]);
        GC.Collect(generation: (int)(_collections % 3), GCCollectionMode.Forced, blocking: true);
        GC.WaitForPendingFinalizers();
        _collections++;
    }

    private void Start(Action action)
    {
        var thread = new Thread(() =>
        {
            while (!_ended.IsCancellationRequested)
                action();
        });
        thread.IsBackground = true;
        thread.Start();
        _threads.Add(thread);
    }

    /// <summary>Points that cost 20 kB of garbage each, on the threads of the loader.</summary>
    private sealed class AllocatingPoints : IDataset
    {
        private readonly PointDataset _points = PointDataset.EightGaussians(seed: 1, count: 1000);

        public long Count => _points.Count;

        public IReadOnlyList<long> SampleShape => _points.SampleShape;

        public LoadThreading Threading => LoadThreading.Concurrent;

        public Batch Load(ReadOnlySpan<long> indices)
        {
            foreach (var _ in indices)
                GC.KeepAlive(new byte[20_000]);
            return _points.Load(indices);
        }
    }
}
