using System.Runtime.InteropServices;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using Microsoft.Extensions.Logging;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>Steps in which the garbage collector frees a number that libtorch is reading.</summary>
[Trait(Category.Name, Category.Fault)]
public class ScalarFaultTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_step_is_repeated_where_nothing_has_changed_yet_and_gives_the_same_weights(int failures)
    {
        using var folder = new TemporaryFolder();
        Train(folder.File("undisturbed"), () => { }, new ListLogger());
        var (left, logger) = (failures, new ListLogger());

        Train(folder.File("disturbed"), () => { if (left-- > 0) throw new FreedNumber(); }, logger);

        Bits.OfFolder(folder.File("disturbed")).Should().Equal(Bits.OfFolder(folder.File("undisturbed")));
        logger.Entries.Where(entry => entry.Level == LogLevel.Warning).Should().HaveCount(failures)
            .And.OnlyContain(entry => entry.Text.Contains("Step 2 is repeated") && entry.Text.Contains("using Scalar"));
    }

    [Fact]
    public void A_number_that_is_freed_every_time_ends_the_step_with_its_cause_and_leaves_the_trainer_unchanged()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);
        using var batch = Runs.Batch(1, 2, 3);
        trainer.TrainStep(batch);
        trainer.Save(folder.File("before"));
        var calls = 0;
        model.Before = () => { calls++; throw new FreedNumber(); };

        var error = FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<ScalarFinalizedException>().Which;

        calls.Should().Be(4);
        error.StateIsWhole.Should().BeTrue();
        error.Message.Should().Contain("Step 2 failed 4 times").And.Contain("using Scalar half = 0.5").And.Contain("before the step");
        error.InnerException.Should().BeOfType<FreedNumber>();
        trainer.Save(folder.File("after"));
        Bits.OfFolder(folder.File("after")).Should().Equal(Bits.OfFolder(folder.File("before")));
        model.Before = null;
        trainer.TrainStep(batch);
        trainer.Step.Should().Be(2);
    }

    [Fact]
    public void A_number_that_is_freed_while_the_weights_change_requires_a_checkpoint()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        var optimizer = new Careless();
        using var trainer = Runs.Trainer(model, Runs.Options with { Optimizer = optimizer });
        using var batch = Runs.Batch(1, 2, 3);
        trainer.TrainStep(batch);
        trainer.Save(folder.File("before"));
        optimizer.Fails = true;

        var error = FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<ScalarFinalizedException>().Which;

        error.StateIsWhole.Should().BeFalse();
        error.Message.Should().Contain("resume from a checkpoint");
        FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<InvalidOperationException>().WithMessage("*cannot take a step*");
        optimizer.Fails = false;
        trainer.Resume(folder.File("before"));
        trainer.TrainStep(batch);
        trainer.Step.Should().Be(2);
    }

    [Theory]
    [InlineData("Expected false to be true, but got false.  (Could this error message be improved?)", true)]
    [InlineData("Unknown scalar type.", true)]
    [InlineData("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)", false)]
    public void Only_the_messages_of_freed_numbers_are_taken_for_them(string message, bool expected)
    {
        ScalarFinalizedException.IsCauseOf(new FreedNumber(message)).Should().Be(expected);
        ScalarFinalizedException.IsCauseOf(new InvalidOperationException(message)).Should().BeFalse();
    }

    private static void Train(string folder, Action atSecondStep, ListLogger logger)
    {
        using var model = new TinyDenoiser(dropout: 0.1);
        using var trainer = Runs.Trainer(model, logger: logger);
        using var batch = Runs.Batch(1, 2, 3);
        trainer.TrainStep(batch);
        model.Before = atSecondStep;
        trainer.TrainStep(batch);
        trainer.TrainStep(batch);
        trainer.Save(folder);
    }

    private sealed class FreedNumber(string message = "Expected false to be true, but got false.") : ExternalException(message);

    /// <summary>Changes the weights first and reads a freed number then.</summary>
    private sealed class Careless : IOptimizer
    {
        public string Name => nameof(Careless);

        public bool Fails { get; set; }

        public IOptimizerState Start(FlatLayout layout) => new State(this);

        private sealed class State(Careless settings) : IOptimizerState
        {
            public IReadOnlyDictionary<string, Tensor> Tensors { get; } = new Dictionary<string, Tensor>();

            public void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply)
            {
                using Scalar half = 0.5;
                weights.mul_(half);
                if (settings.Fails)
                    throw new FreedNumber();
            }

            public void Dispose()
            {
            }
        }
    }
}
