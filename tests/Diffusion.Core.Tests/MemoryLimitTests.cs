using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>Looks at the memory of the process, and therefore runs when no other test does.</summary>
[CollectionDefinition(nameof(MemoryLimitTests), DisableParallelization = true)]
[Collection(nameof(MemoryLimitTests))]
public class MemoryLimitTests
{
    private const int BatchSize = 24;

    /// <summary>What a sample is made to hold, in bytes: far more than anything else in a step.</summary>
    private const long PerSample = 4L << 20;

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 3)]
    [InlineData(7, 7)]
    [InlineData(1000, BatchSize)]
    public void As_many_samples_pass_at_once_as_the_memory_holds(long room, int expected)
    {
        using var model = new TinyDenoiser();
        using var hog = new Hog(model);
        var limit = HostMemory.InUse() + (long)((room + 0.5) * PerSample * 1.25);
        using var trainer = new DdpmTrainer(
            hog, Runs.Schedule, new SimpleLoss(), Runs.Options with { BatchSize = BatchSize, MemoryLimit = limit });
        using var batch = new Points(100).Load(Enumerable.Range(0, BatchSize).Select(i => (long)i).ToArray());

        trainer.TrainStep(batch);

        trainer.MicroBatchSize.Should().Be(expected);
        hog.Most.Should().BeLessThanOrEqualTo(Math.Max(expected, 2));
    }

    [Fact]
    public void Finding_the_size_changes_no_result()
    {
        using var model = new TinyDenoiser(dropout: 0.2);
        using var other = new TinyDenoiser(dropout: 0.2);
        using var hog = new Hog(model);
        var options = Runs.Options with { BatchSize = BatchSize };
        using var limited = new DdpmTrainer(
            hog, Runs.Schedule, new SimpleLoss(), options with { MemoryLimit = HostMemory.InUse() + (5 * PerSample) });
        using var given = Runs.Trainer(other, options with { MicroBatchSize = 3 });

        limited.Run(new Points(50));
        given.Run(new Points(50));

        limited.MicroBatchSize.Should().Be(3);
        Bits.Of(model.get_parameter("_first.weight")!).Should().Be(Bits.Of(other.get_parameter("_first.weight")!));
    }

    [Theory]
    [InlineData(8, 8)]
    [InlineData(7, 4)]
    [InlineData(3, 2)]
    [InlineData(1, 1)]
    public void A_step_that_runs_out_of_memory_is_taken_again_in_smaller_parts(int fits, int expected)
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser(dropout: 0.2);
        using var other = new TinyDenoiser(dropout: 0.2);
        var network = new ModuleDenoiser(model, (xt, t, _) => xt.shape[0] <= fits ? model.Predict(xt, t) : throw new InsufficientMemoryException());
        using var trainer = new DdpmTrainer(network, Runs.Schedule, new SimpleLoss(), Runs.Options);
        using var given = Runs.Trainer(other, Runs.Options with { MicroBatchSize = expected });

        trainer.Run(new Points(50));
        given.Run(new Points(50));
        trainer.Save(folder.File("saved"));

        trainer.MicroBatchSize.Should().Be(expected == 8 ? null : expected);
        Bits.Of(model.get_parameter("_first.weight")!).Should().Be(Bits.Of(other.get_parameter("_first.weight")!));
        using var resumed = new TinyDenoiser();
        using var next = Runs.Trainer(resumed);
        next.Resume(folder.File("saved"));
        next.MicroBatchSize.Should().Be(trainer.MicroBatchSize);
    }

    [Fact]
    public void A_size_that_was_asked_for_is_not_changed()
    {
        using var model = new TinyDenoiser();
        var network = new ModuleDenoiser(model, (_, _, _) => throw new InsufficientMemoryException());
        using var trainer = new DdpmTrainer(network, Runs.Schedule, new SimpleLoss(), Runs.Options with { MicroBatchSize = 4 });

        FluentActions.Invoking(() => trainer.Run(new Points(50)))
            .Should().Throw<TrainingOutOfMemoryException>().Which.StateIsWhole.Should().BeTrue();
        trainer.MicroBatchSize.Should().Be(4);
    }

    /// <summary>A network each of whose samples holds <see cref="PerSample"/> bytes until its gradient is known.</summary>
    private sealed class Hog(TinyDenoiser inner) : ITrainableDenoiser, IDisposable
    {
        private readonly Tensor _ones = ones([1L, PerSample / sizeof(float)]);

        public nn.Module Module => inner;

        public long Most { get; private set; }

        public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
        {
            Most = Math.Max(Most, xt.shape[0]);
            using var scope = NewDisposeScope();
            var answer = inner.Predict(xt, t, condition);
            if (!is_grad_enabled())
                return answer.MoveToOuterDisposeScope();
            var held = answer.narrow(1, 0, 1).mul(_ones).exp();
            return answer.add(held.narrow(1, 0, 1).mul(0.0)).MoveToOuterDisposeScope();
        }

        public void Dispose() => _ones.Dispose();
    }
}
