using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using TorchSharp;

namespace Diffusion.Core.Tests;

/// <summary>Looks at the memory of the process, and therefore runs when no other test does.</summary>
[CollectionDefinition(nameof(SteadyStateTests), DisableParallelization = true)]
[Collection(nameof(SteadyStateTests))]
public class SteadyStateTests
{
    private const long Every = 500;

    /// <summary>
    /// The bytes by which memory may grow over 8,500 steps: 123 for each. The caches of allocators and of the runtime were seen to differ by
    /// 353 kB between two looks at a process that leaked nothing; the least tensor takes more than 200 bytes of malloc.
    /// </summary>
    private const long Noise = 1 << 20;

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Tensors_and_memory_stay_as_they_are_over_ten_thousand_steps_with_samples_evaluations_and_checkpoints()
    {
        using var folder = new TemporaryFolder();
        using var timesteps = new LossSecondMomentTimesteps(Runs.Schedule);
        using var model = new TinyDenoiser(dropout: 0.1);
        var watch = new Watch();
        using var trainer = Runs.Trainer(model, Runs.Options with
        {
            Steps = 10_000,
            LogEvery = 50,
            Timesteps = timesteps,
            MicroBatchSize = 5,
            ExtraEmas = new Dictionary<string, EmaDecay> { ["slow"] = EmaDecay.Constant(0.99) },
            CheckpointFolder = folder.Path,
            CheckpointEvery = Every,
            Callbacks = [watch],
            Loader = new LoaderOptions { Workers = 1 },
        });
        watch.Sample = () =>
        {
            using var samples = new DdimSampler(10, options: Runs.Clipped).Sample(trainer.Ema, [16, 2], seed: 1);
            using var batch = Runs.Batch(1, 2, 3);
            using var averaged = new Models.DiffusionModel(trainer.Ema.Network, Runs.Schedule);
            using var t = torch.tensor(new long[] { 1, 500, 999 });
            using var noise = torch.zeros_like(batch.Samples);
            using var gradientsOff = torch.no_grad();
            using var terms = new SimpleLoss().Evaluate(new LossContext(averaged, batch.Samples, t, noise));
        };

        trainer.Run(PointDataset.EightGaussians(seed: 1, count: 50));

        // The first thousand steps fill caches, pools and the histories of the sampler of times.
        var steady = watch.Seen.Where(seen => seen.Step > 2 * Every).ToArray();
        steady.Should().HaveCount(18);
        steady.Select(seen => seen.Tensors).Distinct().Should().ContainSingle("as many tensors live at every look");
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join('\n', watch.Seen));
        Growth(steady, seen => seen.Managed).Should().BeLessThan(Noise, "a tensor or a record that leaks at every step takes more");
        Growth(steady, seen => seen.Native).Should().BeLessThan(Noise, "a tensor or a record that leaks at every step takes more");
    }

    /// <summary>From the least of the first looks to the least of the last: what pools hold differs, what leaks does not.</summary>
    private static long Growth(Seen[] looks, Func<Seen, long> of) => looks.TakeLast(6).Min(of) - looks.Take(6).Min(of);

    private sealed record Seen(long Step, long Tensors, long Managed, long Native);

    private sealed class Watch : TrainerCallback
    {
        public List<Seen> Seen { get; } = [];

        public Action? Sample { get; set; }

        public override void AfterStep(TrainingRun run)
        {
            if (run.Step % Every != Every / 2)
                return;
            Sample!();
            var native = MappedMemory.BytesInUse();
            Seen.Add(new Seen(run.Step, torch.Tensor.TotalCount, GC.GetTotalMemory(forceFullCollection: true), native));
        }
    }
}
