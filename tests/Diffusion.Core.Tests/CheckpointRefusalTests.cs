using System.Text.Json.Nodes;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

public class CheckpointRefusalTests
{
    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Another_network_is_refused_by_the_option_that_differs_and_one_that_only_saves_memory_is_not()
    {
        using var folder = new TemporaryFolder();
        void With(MlpDenoiserOptions options, Action<DdpmTrainer> act)
        {
            using var model = new MlpDenoiser(options);
            using var trainer = new DdpmTrainer(model, Runs.Schedule, new SimpleLoss(), Runs.Options);
            act(trainer);
        }

        With(new MlpDenoiserOptions { Width = 8 }, trainer => trainer.Save(folder.File("a")));

        With(new MlpDenoiserOptions { Width = 16 }, trainer => FluentActions.Invoking(() => trainer.Resume(folder.File("a")))
            .Should().Throw<CheckpointException>().WithMessage("*was saved with network.options.width 8, this trainer has 16."));
        var before = JsonNode.Parse("""{"network": {"options": {"use_gradient_checkpointing": false, "width": 8}}}""")!.AsObject();
        var now = JsonNode.Parse("""{"network": {"options": {"use_gradient_checkpointing": true, "width": 8}}}""")!.AsObject();
        RunIdentity.Difference(before, now).Should().BeNull();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Another_model_seed_batch_size_or_schedule_is_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        Runs.SaveAfterRun(folder.Path + "/a");
        void Refused(string message, TrainerOptions? options = null, long width = 16, INoiseSchedule? schedule = null)
        {
            using var model = new TinyDenoiser(width: width);
            using var trainer = new DdpmTrainer(
                model, schedule ?? Runs.Schedule, new SimpleLoss(), (options ?? Runs.Options) with { Steps = 30 });
            var before = Bits.Of(model.get_parameter("_first.weight")!);
            FluentActions.Invoking(() => trainer.Resume(folder.File("a"))).Should().Throw<CheckpointException>().WithMessage(message);
            trainer.Step.Should().Be(0);
            Bits.Of(model.get_parameter("_first.weight")!).Should().Be(before);
        }

        Refused("*trainer.json: was saved with a seed of 5, this trainer has 7*", Runs.Options with { Seed = 7 });
        Refused("*trainer.json: was saved with a batch size of 8, this trainer has 16*", Runs.Options with { BatchSize = 16 });
        Refused("*model.safetensors: '_first.weight' must be Float32 [17, 3], is Float32 [16, 3]*", width: 17);
        Refused("*another noise schedule: times from 0 to 999, not 0 to 99*", schedule: DiscreteSchedule.Linear(100));
        Refused("*another noise schedule: alpha 0.99995 and sigma 0.01 at time 0, not 0.99997*", schedule: DiscreteSchedule.Cosine());
    }

    [Theory]
    [InlineData(1.0, 1000.0, "*another noise schedule: a model timestep of 0.1 at time 0.1, not 100.")]
    [InlineData(1000.0, 1.0, "*another noise schedule: a model timestep of 100 at time 0.1, not 0.1.")]
    [InlineData(1000.0, 500.0, "*another noise schedule: a model timestep of 100 at time 0.1, not 50.")]
    [InlineData(1000.0, 1000.0, null)]
    [InlineData(1.0, 1.0, null)]
    [Trait(Category.Name, Category.Fault)]
    public void A_schedule_that_tells_its_network_other_times_is_refused(double scale, double otherScale, string? message)
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using (var trainer = new DdpmTrainer(model, new Scaled(scale), new SimpleLoss(), Runs.Options))
            trainer.Save(folder.File("a"));
        using var other = new DdpmTrainer(model, new Scaled(otherScale), new SimpleLoss(), Runs.Options);

        var resume = () => other.Resume(folder.File("a"));

        if (message is null)
            resume.Should().NotThrow();
        else
            resume.Should().Throw<CheckpointException>().WithMessage(message);
        File.ReadAllText(folder.File("a/trainer.json")).Contains("model_timesteps", StringComparison.Ordinal)
            .Should().Be(scale != 1.0, "checkpoints of schedules whose network is told the time itself stay as they were");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_data_set_of_another_size_is_refused()
    {
        using var folder = new TemporaryFolder();
        var options = Runs.Options with { CheckpointFolder = folder.Path };
        using var model = new TinyDenoiser();
        using (var trainer = Runs.Trainer(model, options))
            trainer.Run(new Points(50));

        using var next = Runs.Trainer(model, options with { Steps = 30 });
        FluentActions.Invoking(() => next.Run(new Points(51)))
            .Should().Throw<CheckpointException>().WithMessage("*trainer.json: was saved with a size of the data set of 50, this trainer has 51*");
        next.Step.Should().Be(0);
        next.Resume(folder.Path);
        FluentActions.Invoking(() => next.Run(new Points(51)))
            .Should().Throw<ArgumentException>().WithMessage("*data set of 50 samples, this one has 51*");
        next.Step.Should().Be(20);
    }

    /// <summary>A straight line, of which the network is told the time in a unit of its own.</summary>
    private sealed class Scaled(double scale) : INoiseSchedule
    {
        public double MinTime => 0.1;

        public double MaxTime => 0.9;

        public NoiseLevel LevelAt(double t) => new(1.0 - t, t);

        public double ModelTimestep(double t) => scale * t;
    }
}
