using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>Settings that contradict each other: an exception where they are wrong, one warning where they are doubtful.</summary>
[Trait(Category.Name, Category.Fault)]
public class UnnoticedMistakeTests
{
    [Fact]
    public void A_condition_that_the_network_does_not_read_is_refused()
    {
        using var scope = NewDisposeScope();
        var small = new UNetOptions { ImageSize = 8, Channels = 1, Width = 8, Multipliers = [1, 1], LayersPerBlock = 1 };
        using var unet = new UNet(small.ToLayout());
        using var mlp = new MlpDenoiser(new MlpDenoiserOptions { Width = 8, Layers = 1 });
        using var vectors = new MlpDenoiser(new MlpDenoiserOptions { Width = 8, Layers = 1, VectorWidth = 3 });
        using var vit = new ViTDenoiser(new ViTDenoiserOptions { ImageSize = 8, Channels = 1, PatchSize = 4, Width = 16, Depth = 1, Heads = 2 });
        (IDenoiser Network, long[] Shape)[] networks = [(unet, [2, 1, 8, 8]), (mlp, [2, 2]), (vit, [2, 1, 8, 8])];
        foreach (var (network, shape) in networks)
        {
            foreach (var (condition, name) in (IEnumerable<(Condition, string)>)
            [
                (Condition.OfLabels([1, 2]), nameof(Condition.Labels)),
                (Condition.Create(vector: zeros(2, 3)), nameof(Condition.Vector)),
                (Condition.Create(encoderHiddenStates: zeros(2, 4, 5)), nameof(Condition.EncoderHiddenStates)),
            ])
            {
                using (condition)
                    FluentActions.Invoking(() => Sample(network, shape, condition)).Should().Throw<ArgumentException>().WithMessage($"*{name}*would ignore*");
            }

            Sample(network, shape, null);
        }

        using var given = Condition.Create(labels: zeros(2, ScalarType.Int64), vector: zeros(2, 3));
        FluentActions.Invoking(() => Sample(vectors, [2, 2], given)).Should().Throw<ArgumentException>().WithMessage("*Labels*");
        using var none = Condition.OfLabels([0]);
        var wrapped = new ConditionDropout(mlp, 0.0, none);
        FluentActions.Invoking(() => Sample(wrapped, [2, 2], given)).Should().Throw<ArgumentException>().WithMessage("*Labels*");

        static void Sample(IDenoiser network, long[] shape, Condition? condition)
        {
            using var model = new DiffusionModel(network, DiscreteSchedule.Linear());
            new DdimSampler(steps: 2).Sample(model, new SamplingRequest { Shape = shape, Condition = condition }).Dispose();
        }
    }

    [Fact]
    public void A_network_without_classes_is_trained_on_labelled_data_which_is_logged_once()
    {
        using var samples = zeros(10, 2);
        using var labels = zeros(10, ScalarType.Int64);
        var logger = new ListLogger();
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 8, Layers = 1 });
        using var trainer = new DdpmTrainer(network, DiscreteSchedule.Linear(), new SimpleLoss(), Runs.Options, logger);

        trainer.Run(new TensorDataset(samples, labels));

        trainer.Step.Should().Be(20);
        logger.Entries.Where(entry => entry.Text.Contains("has Labels", StringComparison.Ordinal)).Should().ContainSingle();
    }

    [Theory]
    [InlineData(2.0, 1.0)]
    [InlineData(1.0, 1.0)]
    [InlineData(double.NaN, 0.0)]
    [InlineData(0.0, double.NaN)]
    public void A_schedule_whose_log_snr_rises_or_is_not_a_number_makes_no_model(double rise, double noise)
    {
        using var network = new TinyDenoiser();
        var schedule = new Rising(rise, noise);

        FluentActions.Invoking(() => new DiffusionModel(network, schedule)).Should().Throw<ArgumentException>().WithMessage("*log-SNR*fall*");
        FluentActions.Invoking(() => new DdpmTrainer(network, schedule, new SimpleLoss(), Runs.Options)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_metric_that_is_never_reported_is_one_warning_with_the_names_there_are()
    {
        var logger = new ListLogger();
        using var network = new TinyDenoiser();
        var options = Runs.Options with { LogEvery = 1, Callbacks = [new EarlyStop("val_loss") { Patience = 4 }] };
        using (var trainer = Runs.Trainer(network, options, logger: logger))
            trainer.Run(new Points(50));

        logger.Warnings.Should().ContainSingle().Which.Should().Contain("'val_loss'").And.Contain("step 4").And.Contain("loss, loss_q0");
        logger.Entries.Clear();
        using var few = new TinyDenoiser();
        using (var trainer = Runs.Trainer(few, options with { Steps = 2 }, logger: logger))
            trainer.Run(new Points(50));
        logger.Warnings.Should().ContainSingle();
        logger.Entries.Clear();
        using var known = new TinyDenoiser();
        using (var trainer = Runs.Trainer(known, options with { Callbacks = [new EarlyStop("loss") { Patience = 100 }] }, logger: logger))
            trainer.Run(new Points(50));
        logger.Warnings.Should().BeEmpty();
    }

    [Fact]
    public void A_warm_up_that_is_longer_than_the_run_is_one_warning()
    {
        var logger = new ListLogger();
        using var network = new TinyDenoiser();
        using (var trainer = Runs.Trainer(network, Runs.Options with { Steps = 20, WarmupSteps = 100 }, logger: logger))
            trainer.Run(new Points(50));

        logger.Warnings.Should().ContainSingle().Which.Should().Contain("100 steps and the run 20").And.Contain("0.002 instead of 0.01");
    }

    [Fact]
    public void A_mistyped_folder_is_an_error_where_a_checkpoint_is_required_and_otherwise_a_warning()
    {
        using var folder = new TemporaryFolder();
        var logger = new ListLogger();
        void Train(string name, bool required)
        {
            using var network = new TinyDenoiser();
            var options = Runs.Options with { Steps = 2, WarmupSteps = 0, CheckpointFolder = folder.File(name), RequireCheckpoint = required };
            using var trainer = Runs.Trainer(network, options, logger: logger);
            trainer.Run(new Points(50));
        }

        Train("mnist-1", required: false);
        Train("mnist-1", required: true);
        Train("mnist-2", required: false);
        Train("another", required: false);
        logger.Warnings.Should().BeEmpty("the names differ in a number, or altogether");
        FluentActions.Invoking(() => Train("mnits-1", required: true))
            .Should().Throw<CheckpointException>().WithMessage($"*mnits-1: there is no checkpoint*{folder.File("mnist-1")}*");
        Train("mnits-1", required: false);
        logger.Warnings.Should().ContainSingle().Which.Should().Contain("mnits-1, so the run starts at step 0").And.Contain(folder.File("mnist-2"));
        using var other = new TinyDenoiser();
        FluentActions.Invoking(() => Runs.Trainer(other, Runs.Options with { RequireCheckpoint = true }))
            .Should().Throw<ArgumentException>().WithMessage("*CheckpointFolder*");
    }

    [Theory]
    [InlineData(1e300)]
    [InlineData(1e39)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NaN)]
    public void Numbers_that_no_float32_tensor_can_be_multiplied_by_are_refused(double factor)
    {
        using var network = new TinyDenoiser();
        foreach (var options in (TrainerOptions[])
        [
            Runs.Options with { LearningRate = factor },
            Runs.Options with { MaxGradNorm = factor },
            Runs.Options with { Optimizer = new Adam { Epsilon = factor } },
            Runs.Options with { Optimizer = new AdamW { WeightDecay = factor } },
            Runs.Options with { Optimizer = new Adafactor { ClipThreshold = factor } },
            Runs.Options with { Optimizer = new Lion { WeightDecay = factor } },
            Runs.Options with { Optimizer = new Sgd { WeightDecay = factor } },
        ])
            FluentActions.Invoking(() => Runs.Trainer(network, options)).Should().Throw<ArgumentOutOfRangeException>();

        foreach (var make in (Func<object>[])
        [
            () => new OffsetNoise(new SimpleLoss(), factor),
            () => new InputPerturbation(new SimpleLoss(), factor),
            () => new AutoencoderLoss(beta: factor),
            () => Distance.Huber(factor),
            () => new DdimSolver(noiseScale: factor),
            () => LearningRateSchedules.Cosine(factor, 10),
        ])
            make.Should().Throw<ArgumentOutOfRangeException>();

        using var trainer = Runs.Trainer(network, Runs.Options with { LearningRateSchedule = _ => factor });
        FluentActions.Invoking(() => trainer.Run(new Points(50))).Should().Throw<ArgumentOutOfRangeException>();
        using var other = new TinyDenoiser();
        using var largest = Runs.Trainer(
            other, Runs.Options with { LearningRate = 1e18, WarmupSteps = 0, Steps = 3, Optimizer = new AdamW { WeightDecay = 1e18 } });
        largest.Run(new Points(50));
    }

    private sealed class Rising(double rise, double noise) : INoiseSchedule
    {
        public double MinTime => 0.0;

        public double MaxTime => 1.0;

        public NoiseLevel LevelAt(double t) => new(Math.Min(1.0, 0.5 + (rise * t)), noise == 0.0 ? t + 0.1 : noise);
    }
}
