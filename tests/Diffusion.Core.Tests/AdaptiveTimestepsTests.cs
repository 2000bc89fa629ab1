using Diffusion.Core.Losses;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>Training with a sampler of times that learns from the losses.</summary>
public class AdaptiveTimestepsTests
{
    private static readonly DiscreteSchedule Schedule = DiscreteSchedule.Linear(4, 0.01, 0.5);

    [Fact]
    public void A_run_in_two_parts_equals_one_without_a_break_bit_for_bit()
    {
        using var folder = new TemporaryFolder();
        void Part(string to, long steps, string? from)
        {
            // Four times and eight samples a step: each time has its history after a few steps.
            using var timesteps = new LossSecondMomentTimesteps(Schedule, historyLength: 3);
            using var model = new TinyDenoiser();
            using var trainer = Trainer(model, Runs.Options with { Steps = steps, Timesteps = timesteps });
            if (from is not null)
                trainer.Resume(folder.File(from));
            trainer.Run(new Points(13));
            timesteps.Probabilities().Distinct().Should().HaveCountGreaterThan(1);
            trainer.Save(folder.File(to));
        }

        Part("whole", 20, null);
        Part("half", 10, null);
        Part("resumed", 20, "half");

        File.Exists(folder.File("half/timesteps.safetensors")).Should().BeTrue();
        Bits.OfFolder(folder.File("resumed")).Should().Equal(Bits.OfFolder(folder.File("whole")));
    }

    [Fact]
    public void The_loss_is_the_weighted_mean_and_the_sampler_sees_it_unweighted()
    {
        using var timesteps = new Doubling();
        using var model = new TinyDenoiser();
        using var plainModel = new TinyDenoiser();
        using var trainer = Trainer(model, Runs.Options with { Timesteps = timesteps });
        using var plain = Trainer(plainModel, Runs.Options);
        using var batch = Runs.Batch(1, 2, 3, 4);

        trainer.TrainStep(batch);
        plain.TrainStep(batch);

        trainer.LastLoss.Should().BeApproximately(2.0 * plain.LastLoss, 1e-6 * plain.LastLoss);
        timesteps.Observed.Average().Should().BeApproximately(plain.LastLoss, 1e-6 * plain.LastLoss);
        LiveTensors.Change(() => trainer.TrainStep(batch)).Should().Be(0);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_checkpoint_of_the_other_kind_of_sampler_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var timesteps = new LossSecondMomentTimesteps(Schedule);
        using var model = new TinyDenoiser();
        using var other = new TinyDenoiser();
        using var learning = Trainer(model, Runs.Options with { Timesteps = timesteps });
        using var plain = Trainer(other, Runs.Options);
        learning.Save(folder.File("learning"));
        plain.Save(folder.File("plain"));

        FluentActions.Invoking(() => plain.Resume(folder.File("learning")))
            .Should().Throw<CheckpointException>().WithMessage("*timestep sampler LossSecondMomentTimesteps, this trainer has UniformTimesteps.");
        FluentActions.Invoking(() => learning.Resume(folder.File("plain")))
            .Should().Throw<CheckpointException>().WithMessage("*timestep sampler UniformTimesteps, this trainer has LossSecondMomentTimesteps.");
        learning.Resume(folder.File("learning"));
    }

    private static DdpmTrainer Trainer(TinyDenoiser model, TrainerOptions options) => new(model, Schedule, new SimpleLoss(), options);

    /// <summary>Even times, each worth two, and a record of what was observed.</summary>
    private sealed class Doubling : IAdaptiveTimestepSampler
    {
        public IReadOnlyDictionary<string, Tensor> State { get; } = new Dictionary<string, Tensor>();

        public List<double> Observed { get; } = [];

        public Tensor Sample(INoiseSchedule schedule, long count, Generator generator)
            => new UniformTimesteps().Sample(schedule, count, generator);

        public Tensor Weights(Tensor t) => full([t.shape[0]], 2.0, dtype: ScalarType.Float64);

        public void Observe(Tensor t, Tensor losses)
        {
            losses.device_type.Should().Be(DeviceType.CPU);
            using var exact = losses.to(ScalarType.Float64);
            Observed.AddRange(exact.data<double>().ToArray());
        }

        public void Dispose()
        {
        }
    }
}
