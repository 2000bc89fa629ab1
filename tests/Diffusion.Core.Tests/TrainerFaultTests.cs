using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using Microsoft.Extensions.Logging;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

[Trait(Category.Name, Category.Fault)]
public class TrainerFaultTests
{
    public static TheoryData<string, TrainerOptions> BadOptions => new()
    {
        { "Steps", new TrainerOptions { Steps = 0 } },
        { "BatchSize", new TrainerOptions { BatchSize = 0 } },
        { "LearningRate", new TrainerOptions { LearningRate = 0 } },
        { "LearningRate", new TrainerOptions { LearningRate = double.NaN } },
        { "WarmupSteps", new TrainerOptions { WarmupSteps = -1 } },
        { "Beta1", new TrainerOptions { Optimizer = new AdamW { Beta1 = 1.0 } } },
        { "Beta2", new TrainerOptions { Optimizer = new AdamW { Beta2 = -0.1 } } },
        { "Epsilon", new TrainerOptions { Optimizer = new AdamW { Epsilon = 0.0 } } },
        { "WeightDecay", new TrainerOptions { Optimizer = new AdamW { WeightDecay = -0.1 } } },
        { "Optimizer", new TrainerOptions { Optimizer = null! } },
        { "ParameterGroups", new TrainerOptions { ParameterGroups = null! } },
        { "Precision", new TrainerOptions { Precision = null! } },
        { "GrowthInterval", new TrainerOptions { Precision = Precision.Float16(new GradScaler { GrowthInterval = 0 }) } },
        { "MicroBatchSize", new TrainerOptions { MicroBatchSize = 0 } },
        { "ExtraEmas", new TrainerOptions { ExtraEmas = new Dictionary<string, EmaDecay> { ["ema"] = EmaDecay.WarmUp() } } },
        { "ExtraEmas", new TrainerOptions { ExtraEmas = new Dictionary<string, EmaDecay> { ["a/b"] = EmaDecay.WarmUp() } } },
        { "Callbacks", new TrainerOptions { Callbacks = null! } },
        { "Callbacks", new TrainerOptions { Callbacks = [new EarlyStop("loss"), new EarlyStop("loss")] } },
        { "MaxGradNorm", new TrainerOptions { MaxGradNorm = 0.0 } },
        { "Ema", new TrainerOptions { Ema = null! } },
        { "Timesteps", new TrainerOptions { Timesteps = null! } },
        { "LogEvery", new TrainerOptions { LogEvery = 0 } },
        { "CheckpointEvery", new TrainerOptions { CheckpointEvery = 0 } },
        { "KeepCheckpoints", new TrainerOptions { KeepCheckpoints = 0 } },
        { "MaxSkippedInARow", new TrainerOptions { MaxSkippedInARow = 0 } },
        { "CheckpointFolder", new TrainerOptions { CheckpointFolder = " " } },
        { "Device", new TrainerOptions { Device = new Device(DeviceType.CUDA, 99) } },
    };

    [Theory]
    [MemberData(nameof(BadOptions), DisableDiscoveryEnumeration = true)]
    public void Options_out_of_range_are_refused_by_name(string name, TrainerOptions options)
    {
        using var model = new TinyDenoiser();

        FluentActions.Invoking(() => Runs.Trainer(model, options)).Should().Throw<ArgumentException>().WithParameterName(name);
        Runs.Trainer(model).Dispose();
    }

    [Fact]
    public void A_decay_that_fails_changes_nothing()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        var decay = new Failing { Value = 0.9 };
        using var trainer = Runs.Trainer(model, Runs.Options with { Ema = decay });
        using var batch = Runs.Batch(1, 2, 3);
        trainer.TrainStep(batch);
        trainer.Save(folder.File("before"));

        decay.Value = 1.5;
        FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<ArgumentOutOfRangeException>();

        trainer.Save(folder.File("after"));
        Bits.OfFolder(folder.File("after")).Should().Equal(Bits.OfFolder(folder.File("before")));
        decay.Value = 0.9;
        trainer.TrainStep(batch);
        trainer.Step.Should().Be(2);
    }

    [Fact]
    public void A_step_that_fails_while_the_weights_change_has_to_be_resumed_from_a_checkpoint()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using var times = new Unobserving();
        using var trainer = Runs.Trainer(model, Runs.Options with { Timesteps = times });
        using var batch = Runs.Batch(1, 2, 3);
        trainer.TrainStep(batch);
        trainer.Save(folder.File("before"));

        times.Fails = true;
        FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<NotSupportedException>();

        times.Fails = false;
        FluentActions.Invoking(() => trainer.Save(folder.File("after")))
            .Should().Throw<InvalidOperationException>().WithMessage("*cannot save*");
        FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<InvalidOperationException>();
        trainer.Resume(folder.File("before"));
        trainer.TrainStep(batch);
        trainer.Step.Should().Be(2);
    }

    [Fact]
    public void A_run_that_went_back_to_another_checkpoint_saves_the_step_it_has_in_common_with_the_last_save()
    {
        using var folder = new TemporaryFolder();
        using var other = new TinyDenoiser(seed: 9);
        using (var elsewhere = Runs.Trainer(other, Runs.Options with { Steps = 5 }))
        {
            elsewhere.Run(new Points(50));
            elsewhere.Save(folder.File("elsewhere"));
        }

        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { Steps = 20, CheckpointFolder = folder.File("run") });
        using var batch = Runs.Batch(1, 2, 3);
        for (var step = 0; step < 5; step++)
            trainer.TrainStep(batch);
        trainer.Save();
        trainer.Resume(folder.File("elsewhere"));

        FluentActions.Invoking(() => trainer.Fit(new Points(50), cancellationToken: new CancellationToken(canceled: true)))
            .Should().Throw<OperationCanceledException>();

        var newest = CheckpointStore.Latest(folder.File("run"))!;
        Bits.OfFolder(newest)["model.safetensors"].Should().Be(Bits.OfFolder(folder.File("elsewhere"))["model.safetensors"]);
    }

    [Fact]
    public void Missing_arguments_are_refused()
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);
        var calls = new Action[]
        {
            () => Runs.Trainer(null!),
            () => Make(model, null!, new SimpleLoss()),
            () => Make(model, Runs.Schedule, null!),
            () => trainer.Run(null!),
            () => trainer.TrainStep(null!),
            () => trainer.Resume(null!),
            () => trainer.Save(null!),
        };
        foreach (var call in calls)
            call.Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void An_empty_data_set_is_refused()
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);

        FluentActions.Invoking(() => trainer.Run(new Points(0))).Should().Throw<ArgumentException>().WithMessage("*at least one sample, got 0*");
    }

    [Fact]
    public void An_empty_batch_is_refused()
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);
        using var empty = new Batch(zeros(0, 2));
        using var scalar = new Batch(tensor(1f));

        FluentActions.Invoking(() => trainer.TrainStep(empty)).Should().Throw<ArgumentException>().WithMessage("*at least one sample, got 0*");
        FluentActions.Invoking(() => trainer.TrainStep(scalar)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_step_that_throws_changes_nothing_and_can_be_taken_again()
    {
        using var model = new TinyDenoiser();
        using var calm = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);
        using var reference = Runs.Trainer(calm);
        using var batch = Runs.Batch(1, 2, 3);
        model.Before = () => throw new InvalidDataException("no");
        var attempt = FluentActions.Invoking(() => trainer.TrainStep(batch));
        attempt.Should().Throw<InvalidDataException>();
        LiveTensors.Change(() => attempt.Should().Throw<InvalidDataException>()).Should().Be(0);
        trainer.Step.Should().Be(0);
        model.Before = null;

        trainer.TrainStep(batch);
        reference.TrainStep(batch);

        trainer.Step.Should().Be(1);
        Bits.Of(model.get_parameter("_first.weight")!).Should().Be(Bits.Of(calm.get_parameter("_first.weight")!));
    }

    [Fact]
    public void A_module_that_was_moved_is_noticed_at_the_next_step()
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);
        model.to(ScalarType.Float64);
        using var batch = Runs.Batch(1, 2, 3);

        FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<InvalidOperationException>().WithMessage("*construct a new trainer*");
        FluentActions.Invoking(() => trainer.Ema.BeginInference()).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void Two_trainers_of_one_module_are_refused()
    {
        using var model = new TinyDenoiser();
        using var first = Runs.Trainer(model);

        FluentActions.Invoking(() => Runs.Trainer(model)).Should().Throw<InvalidOperationException>().WithMessage("*another trainer*");
    }

    [Fact]
    public void A_disposed_trainer_refuses_to_work()
    {
        using var model = new TinyDenoiser();
        var trainer = Runs.Trainer(model);
        trainer.Dispose();
        trainer.Dispose();
        using var batch = Runs.Batch(1, 2, 3);

        FluentActions.Invoking(() => trainer.TrainStep(batch)).Should().Throw<ObjectDisposedException>();
        FluentActions.Invoking(() => trainer.Run(new Points(5))).Should().Throw<ObjectDisposedException>();
        FluentActions.Invoking(() => trainer.Ema.BeginInference()).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    public void Bad_data_is_skipped_counted_and_logged()
    {
        using var model = new TinyDenoiser();
        var logger = new ListLogger();
        using var trainer = Runs.Trainer(model, Runs.Options with { Steps = 10 }, logger: logger);
        var points = new Points(50);
        points.Substitute = indices => points.Loaded.Count is 3 or 4 ? full([indices.Length, 2], float.NaN) : null;
        var progress = new DirectProgress();

        trainer.Run(points, progress);

        trainer.SkippedSteps.Should().Be(2);
        progress.Reports.Select(report => report.SkippedSteps).Should().Equal(2, 2);
        progress.Reports.Should().OnlyContain(report => double.IsFinite(report.Loss));
        logger.Entries.Where(entry => entry.Level == LogLevel.Warning).Should().ContainSingle().Which.Text.Should().StartWith("2 steps before step 5");
        using var weight = model.get_parameter("_first.weight")!.isfinite().all();
        weight.item<bool>().Should().BeTrue();
    }

    [Fact]
    public void Too_many_bad_steps_in_a_row_end_the_run_with_good_weights()
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { Steps = 1000, MaxSkippedInARow = 7 });
        var points = new Points(50);
        points.Substitute = indices => points.Loaded.Count > 11 ? full([indices.Length, 2], float.PositiveInfinity) : null;

        FluentActions.Invoking(() => trainer.Run(points)).Should().Throw<DivergedException>().WithMessage("The last 9 steps up to step 20*learning rate*");

        using var weight = model.get_parameter("_first.weight")!.isfinite().all();
        weight.item<bool>().Should().BeTrue();
    }

    private static DdpmTrainer Make(ITrainableDenoiser model, INoiseSchedule schedule, IDiffusionLoss loss) => new(model, schedule, loss);

    private sealed class Failing : EmaDecay
    {
        public double Value { get; set; }

        public override double At(long step) => Value;
    }

    /// <summary>A sampler that learns nothing, and may fail at it.</summary>
    private sealed class Unobserving : IAdaptiveTimestepSampler
    {
        private readonly LossSecondMomentTimesteps _inner = new(Runs.Schedule);

        public bool Fails { get; set; }

        public IReadOnlyDictionary<string, Tensor> State => _inner.State;

        public Tensor Sample(INoiseSchedule schedule, long count, Generator generator) => _inner.Sample(schedule, count, generator);

        public Tensor Weights(Tensor t) => _inner.Weights(t);

        public void Observe(Tensor t, Tensor losses)
        {
            if (Fails)
                throw new NotSupportedException("Not today.");
            _inner.Observe(t, losses);
        }

        public void Dispose() => _inner.Dispose();
    }
}
