using Diffusion.Core.Losses;
using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

/// <summary>
/// Trainers on threads of one process, each with a network of its own; the schedule and the data are one for all. Sums on several cores
/// depend on how many there are, which is the same for all threads here.
/// </summary>
public class ConcurrencyTests
{
    private const int Rounds = 3;

    [Theory]
    [InlineData(16)]
    [InlineData(8192)]
    public void Trainers_on_threads_of_their_own_give_what_each_gives_alone(long width)
    {
        // The wide one is large enough for operators to share among cores.
        var data = new Points(50);
        string Train(IDataset points, long seed, double dropout) => ConcurrencyTests.Train(points, seed, dropout, width: width);
        string[] alone = [Train(data, 1, 0.2), Train(data, 2, 0.0), Train(data, 3, 0.1)];
        alone.Distinct().Should().HaveCount(3);
        for (var round = 0; round < Rounds; round++)
        {
            var start = new Barrier(alone.Length);
            var together = OnThreads(
                () => Started(start, () => Train(data, 1, 0.2)),
                () => Started(start, () => Train(data, 2, 0.0)),
                () => Started(start, () => Train(data, 3, 0.1)));
            together.Should().Equal(alone);
        }
    }

    [Fact]
    public void Sampling_from_one_trainer_while_another_trains_gives_what_each_gives_alone()
    {
        var data = new Points(50);
        using var model = new TinyDenoiser(seed: 4);
        using var trained = Runs.Trainer(model);
        trained.Run(data);
        string Sample() => string.Join(' ', Enumerable.Range(0, 4).Select(seed =>
        {
            using var samples = new DdimSampler(10, eta: 1.0, options: Runs.Clipped).Sample(trained.Ema, [64, 2], seed);
            return Bits.Of(samples);
        }));
        string[] alone = [Sample(), Train(data, 1, 0.2)];
        for (var round = 0; round < Rounds; round++)
        {
            var start = new Barrier(alone.Length);
            OnThreads(() => Started(start, Sample), () => Started(start, () => Train(data, 1, 0.2))).Should().Equal(alone);
        }
    }

    [Fact]
    public void Two_runs_save_side_by_side()
    {
        using var folder = new TemporaryFolder();
        Dictionary<string, string> Saved(string name, long seed)
        {
            Train(new Points(50), seed, 0.0, folder.File(name));
            return Bits.OfFolder(folder.File($"{name}/step-00000020"));
        }

        Dictionary<string, string>[] alone = [Saved("a", 1), Saved("b", 2)];
        var start = new Barrier(alone.Length);
        var together = OnThreads(() => Started(start, () => Saved("c", 1)), () => Started(start, () => Saved("d", 2)));
        for (var i = 0; i < alone.Length; i++)
            together[i].Should().Equal(alone[i]);
    }

    private static T Started<T>(Barrier start, Func<T> act)
    {
        start.SignalAndWait(TestContext.Current.CancellationToken);
        return act();
    }

    private static T[] OnThreads<T>(params Func<T>[] acts)
    {
        var tasks = Array.ConvertAll(acts, act => Task.Factory.StartNew(act, TaskCreationOptions.LongRunning));
        return Task.WhenAll(tasks).GetAwaiter().GetResult();
    }

    /// <summary>The bits of weights and averages of a run with dropout, a sampler of times that learns, and batches loaded ahead.</summary>
    private static string Train(IDataset data, long seed, double dropout, string? folder = null, long width = 16)
    {
        using var timesteps = new LossSecondMomentTimesteps(Runs.Schedule);
        using var model = new TinyDenoiser(seed, width, dropout: dropout);
        using var trainer = Runs.Trainer(model, Runs.Options with
        {
            Seed = seed,
            Timesteps = timesteps,
            MicroBatchSize = 5,
            Loader = new LoaderOptions { Workers = 1 },
            CheckpointFolder = folder,
        });
        trainer.Fit(new Shared(data));
        var weights = Bits.Of(model.get_parameter("_first.weight")!);
        using var averaged = trainer.Ema.BeginInference();
        return weights + Bits.Of(model.get_parameter("_first.weight")!);
    }

    /// <summary>Points count what is asked of them, which is for one thread at a time.</summary>
    private sealed class Shared(IDataset data) : IDataset
    {
        public long Count => data.Count;

        public IReadOnlyList<long> SampleShape => data.SampleShape;

        public Batch Load(ReadOnlySpan<long> indices)
        {
            lock (data)
                return data.Load(indices);
        }
    }
}
