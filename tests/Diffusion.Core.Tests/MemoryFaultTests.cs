using System.Runtime.InteropServices;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>Steps that need more memory than there is: a tensor of 4 PiB is more than any machine's.</summary>
[Trait(Category.Name, Category.Fault)]
public class MemoryFaultTests
{
    private const long TooMany = 1L << 50;

    [Fact]
    public void A_step_without_memory_names_what_lowers_it_and_leaves_the_trainer_as_it_was()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { MicroBatchSize = 8 });
        using var batch = Runs.Batch(1, 2, 3);
        trainer.TrainStep(batch);
        trainer.Save(folder.File("before"));
        model.Before = () => empty([TooMany]).Dispose();

        var attempt = FluentActions.Invoking(() => trainer.TrainStep(batch));
        var error = attempt.Should().Throw<TrainingOutOfMemoryException>().Which;
        LiveTensors.Change(() => attempt.Should().Throw<OutOfMemoryException>()).Should().Be(0);

        error.StateIsWhole.Should().BeTrue();
        error.Message.Should().Contain("Step 2").And.Contain("MicroBatchSize").And.Contain("UseGradientCheckpointing")
            .And.Contain("Precision").And.Contain("BatchSize").And.Contain("in the state before the step");
        error.InnerException.Should().NotBeNull();
        trainer.Save(folder.File("after"));
        Bits.OfFolder(folder.File("after")).Should().Equal(Bits.OfFolder(folder.File("before")));
        model.Before = null;
        trainer.TrainStep(batch);
        trainer.Step.Should().Be(2);
    }

    [Fact]
    public void A_step_without_memory_while_the_weights_change_has_to_be_resumed_from_a_checkpoint()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        var greedy = new Greedy();
        using var trainer = Runs.Trainer(model, Runs.Options with { Optimizer = greedy });
        using var batch = Runs.Batch(1, 2, 3);
        trainer.TrainStep(batch);
        trainer.Save(folder.File("before"));
        greedy.Elements = TooMany;

        var error = FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<TrainingOutOfMemoryException>().Which;

        error.StateIsWhole.Should().BeFalse();
        error.Message.Should().Contain("resume from a checkpoint");
        FluentActions.Invoking(() => trainer.Save(folder.File("after")))
            .Should().Throw<InvalidOperationException>().WithMessage("*cannot save*");
        FluentActions.Invoking(() => trainer.TrainStep(batch))
            .Should().Throw<InvalidOperationException>().WithMessage("*cannot take a step*");
        Directory.Exists(folder.File("after")).Should().BeFalse();
        greedy.Elements = 1;
        trainer.Resume(folder.File("before"));
        trainer.TrainStep(batch);
        trainer.Step.Should().Be(2);
    }

    [Fact]
    public void A_checkpointed_block_without_memory_in_the_backward_pass_is_the_same_error()
    {
        using var model = new Checkpointed();
        using var trainer = new DdpmTrainer(model, Runs.Schedule, new SimpleLoss(), Runs.Options with { MicroBatchSize = 8 });
        using var batch = Runs.Batch(1, 2, 3);

        var error = FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<TrainingOutOfMemoryException>().Which;

        error.StateIsWhole.Should().BeTrue();
        model.FailsAgain = false;
        trainer.TrainStep(batch);
        trainer.Step.Should().Be(1);
    }

    [Theory]
    [InlineData("CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 11.91 GiB total capacity)", true)]
    [InlineData("MPS backend out of memory (MPS allocated: 1 GB)", true)]
    [InlineData("[enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory", true)]
    [InlineData("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)", false)]
    public void What_allocators_say_is_recognised(string message, bool expected)
        => TrainingOutOfMemoryException.IsCauseOf(new NativeError(message)).Should().Be(expected);

    /// <summary>A network that runs in a checkpoint, which asks for memory when it is computed again.</summary>
    private sealed class Checkpointed : DenoisingNetwork
    {
        private readonly TorchSharp.Modules.Linear _linear = nn.Linear(2, 2);
        private int _runs;

        public Checkpointed()
            : base(nameof(Checkpointed)) => register_module("linear", _linear);

        public bool FailsAgain { get; set; } = true;

        public override Tensor forward(Tensor xt, Tensor t, Condition? condition)
        {
            _runs = 0;
            return GradientCheckpointing.Run(
                x =>
                {
                    if (++_runs > 1 && FailsAgain)
                        empty([TooMany]).Dispose();
                    return _linear.call(x);
                },
                xt);
        }
    }

    private sealed class NativeError(string message) : ExternalException(message);

    /// <summary>Changes weights first and asks for memory then.</summary>
    private sealed class Greedy : IOptimizer
    {
        public string Name => nameof(Greedy);

        public long Elements { get; set; } = 1;

        public IOptimizerState Start(FlatLayout layout) => new State(this);

        private sealed class State(Greedy settings) : IOptimizerState
        {
            public IReadOnlyDictionary<string, Tensor> Tensors { get; } = new Dictionary<string, Tensor>();

            public void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply)
            {
                weights.mul_(0.5);
                empty([settings.Elements]).Dispose();
            }

            public void Dispose()
            {
            }
        }
    }
}
