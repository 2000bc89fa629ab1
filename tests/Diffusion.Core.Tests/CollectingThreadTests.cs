using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>
/// While native code runs, another thread collects garbage all the time and finalizers free what nothing holds: results are the same to
/// the bit, and no call fails.
/// </summary>
[CollectionDefinition(nameof(CollectingThreadTests), DisableParallelization = true)]
[Collection(nameof(CollectingThreadTests))]
[Trait(Category.Name, Category.Long)]
public class CollectingThreadTests
{
    private static readonly Func<ISolver>[] _solvers =
    [
        () => new DdimSolver(eta: 1.0), () => new DpmMultistepSolver(), () => new UniPcSolver(), () => new HeunSolver(),
        () => new PndmSolver(), () => new SaSolver(),
    ];

    [Theory]
    [InlineData(nameof(AdamW))]
    [InlineData(nameof(Sgd))]
    [InlineData(nameof(Lion))]
    [InlineData(nameof(Adafactor))]
    public void Training_is_the_same(string optimizer)
        => SameBeside(() => new TinyDenoiser(dropout: 0.1), model =>
        {
            var options = Runs.Options with
            {
                Steps = 2_000,
                Optimizer = optimizer switch
                {
                    nameof(AdamW) => new AdamW { WeightDecay = 0.01 },
                    nameof(Sgd) => new Sgd { Nesterov = true, WeightDecay = 0.01 },
                    nameof(Lion) => new Lion { WeightDecay = 0.01 },
                    _ => new Adafactor { Beta1 = 0.9, WeightDecay = 0.01 },
                },
                MicroBatchSize = 5,
                Ema = EmaDecay.Constant(0.9),
                CheckpointEvery = 10_000,
                Loader = new LoaderOptions { Workers = 2 },
            };
            using var trainer = Runs.Trainer(model, options);
            trainer.Run(PointDataset.EightGaussians(seed: 1, count: 50));
            using var samples = new DdimSampler(10, options: Runs.Clipped).Sample(trainer.Ema, [16, 2], seed: 1);
            return [Bits.Of(samples), .. Weights(model)];
        });

    [Fact]
    public void Sampling_is_the_same()
        => SameBeside(() => new TinyDenoiser(), model => [.. _solvers.SelectMany(solver => Enumerable.Range(0, 100).Select(seed =>
        {
            var sampler = new DiffusionSampler(solver(), 20, options: Runs.Clipped);
            using var samples = sampler.Sample(model.On(Runs.Schedule), [16, 2], seed);
            return Bits.Of(samples);
        }))]);

    [Fact]
    public void Checkpointed_blocks_are_the_same()
        => SameBeside(
            () => new UNet(new UNetOptions
            {
                ImageSize = 16,
                Channels = 1,
                Width = 8,
                Multipliers = [1, 2],
                GroupNormGroups = 4,
                Dropout = 0.1,
                UseGradientCheckpointing = true,
            }),
            model =>
            {
                using var trainer = new DdpmTrainer(
                    model, Runs.Schedule, new SimpleLoss(), Runs.Options with { Steps = 40, CheckpointEvery = 10_000 });
                trainer.Run(new SyntheticDigits(seed: 1, count: 50, imageSize: 16) { HasLabels = false });
                return Weights(model);
            });

    private static List<string> Weights(nn.Module model) => [.. model.named_parameters().Select(pair => Bits.Of(pair.parameter))];

    private static void SameBeside<T>(Func<T> create, Func<T, List<string>> run)
        where T : nn.Module
    {
        using var first = create();
        using var second = create();
        var state = first.state_dict();
        second.load_state_dict(state);

        var alone = run(first);
        using var collecting = new CollectingThread();
        run(second).Should().Equal(alone);
        collecting.Collections.Should().BeGreaterThan(100);
    }
}
