using System.Text.Json;
using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

// Examples are written as a reader would, without the token of a test.
#pragma warning disable xUnit1051

namespace Diffusion.Core.Tests;

/// <summary>The examples of docs/training.md, which are those of this file word for word.</summary>
public sealed class DocumentedTrainingTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly UNet unet = new(new UNetOptions { ImageSize = 16, Channels = 1, Width = 8, Multipliers = [1, 1] });
    private readonly DiscreteSchedule schedule = DiscreteSchedule.Linear();
    private readonly SyntheticDigits dataset = new(count: 24, imageSize: 16);
    private readonly SyntheticDigits heldOut = new(seed: 1, count: 6, imageSize: 16);
    private readonly string run;

    public DocumentedTrainingTests() => run = folder.File("run");

    public void Dispose()
    {
        unet.Dispose();
        folder.Dispose();
    }

    [Fact]
    public void A_first_run()
    {
        var options = new TrainerOptions { Steps = 20_000, CheckpointFolder = run };
        options = options with { Steps = 2, BatchSize = 4 };
        using var trainer = new DdpmTrainer(unet, schedule, new SimpleLoss(), options);
        trainer.Fit(dataset);

        using var images = new DdimSampler(steps: 50).Sample(trainer.Ema, shape: [16, 1, 16, 16], seed: 0);
        ImageGrid.SavePng(images, Path.Combine(run, "samples.png"));

        trainer.Step.Should().Be(2);
        File.Exists(Path.Combine(run, "samples.png")).Should().BeTrue();
    }

    [Fact]
    public void A_run_that_is_looked_at()
    {
        var sampler = new DdimSampler(steps: 50);
        var options = new TrainerOptions
        {
            CheckpointFolder = Path.Combine(run, "checkpoints"),
            Callbacks =
            [
                new MetricsFile(Path.Combine(run, "metrics.jsonl")),
                new TensorBoardLog(Path.Combine(run, "tensorboard")),
                Every.StepsAndEnd(1_000, new ValidationLoss(heldOut).Run),
                Every.StepsAndEnd(2_500, new SampleGrid(sampler, [16, 1, 16, 16], Path.Combine(run, "samples")).Run),
                new EarlyStop("validation_loss") { Patience = 20 },
                new RunReport(run),
            ],
        };
        Fit(options);

        RunReport.Write(run);
        var best = MetricsFile.Read(Path.Combine(run, "metrics.jsonl"))
            .OfType<MetricRecord>()
            .MinBy(record => record.Value);
        best!.Name.Should().Be("validation_loss");
        File.ReadAllText(Path.Combine(run, "report.html")).Should().Contain("validation_loss").And.Contain("data:image/png");
        Directory.GetFiles(Path.Combine(run, "tensorboard")).Should().HaveCount(1);
    }

    [Fact]
    public void Rates_groups_and_averages()
    {
        var options = new TrainerOptions
        {
            LearningRateSchedule = LearningRateSchedules.Cosine(3e-4, steps: 200_000, warmupSteps: 1_000),
            Optimizer = new AdamW { Beta2 = 0.99, WeightDecay = 0.01 },
            ParameterGroups =
            [
                new ParameterGroup((name, _) => name.StartsWith("time_embedding", StringComparison.Ordinal)) { LearningRateScale = 0.5 },
                .. ParameterGroup.NoDecayOnNormsAndBiases,
            ],
            Ema = EmaDecay.WarmUp(0.9999),
            ExtraEmas = new Dictionary<string, EmaDecay> { ["short"] = EmaDecay.Constant(0.999) },
        };
        using var trainer = Fit(options, keep: true)!;

        using var images = new DdimSampler(steps: 50).Sample(trainer.AverageOf("short"), [16, 1, 16, 16], seed: 0);
        images.shape.Should().Equal(16, 1, 16, 16);
    }

    [Fact]
    public void Averages_of_any_width()
    {
        var options = new TrainerOptions
        {
            Ema = EmaDecay.PowerFunction(0.05),
            ExtraEmas = new Dictionary<string, EmaDecay> { ["wide"] = EmaDecay.PowerFunction(0.10) },
            Callbacks = [new EmaSnapshots(Path.Combine(run, "averages"), every: 2_000)],
        };
        Fit(options with { Callbacks = [new EmaSnapshots(Path.Combine(run, "averages"), every: 1)] });

        using var network = new UNet(unet.Layout);
        var before = Bits.Of(network.parameters().First());
        PostHocEma.Load(network, Path.Combine(run, "averages"), relativeStandardDeviation: 0.07);
        Bits.Of(network.parameters().First()).Should().NotBe(before);
    }

    [Fact]
    public void Precision_memory_and_loading()
    {
        var options = new TrainerOptions
        {
            BatchSize = 256,
            MicroBatchSize = 32,
            ChannelsLast = true,
            Precision = Precision.BFloat16,
            Loader = new LoaderOptions { Workers = 4, PrefetchFactor = 8 },
        };
        Fit(options);

        var augmented = dataset.With(Augmentation.Crop(16, 16, padding: 2), Augmentation.Flip());
        augmented.Count.Should().Be(24);
    }

    [Fact]
    public void Checkpoints()
    {
        var options = new TrainerOptions
        {
            CheckpointFolder = run,
            CheckpointEvery = 5_000,
            CheckpointRetention = CheckpointRetention.Any(
                CheckpointRetention.Last(2), CheckpointRetention.Every(50_000), CheckpointRetention.Best("validation_loss")),
        };
        Fit(options);

        using var network = new UNet(unet.Layout);
        using (var trainer = new DdpmTrainer(network, schedule, new SimpleLoss(), new TrainerOptions { LearningRate = 1e-5 }))
        {
            trainer.LoadWeights(run);
            trainer.Step.Should().Be(0);
        }

        ModuleWeights.Load(unet, Path.Combine(CheckpointStore.Latest(run)!, "ema.safetensors"));
    }

    [Fact]
    public void Signals()
    {
        using var trainer = new DdpmTrainer(unet, schedule, new SimpleLoss(), Small(new TrainerOptions { CheckpointFolder = run }));
        int Main()
        {
            using var stop = new StopSignals();
            try
            {
                trainer.Fit(dataset, cancellationToken: stop.Token);
            }
            catch (OperationCanceledException)
            {
                return stop.ExitCode ?? 1;
            }

            return 0;
        }

        Main().Should().Be(0);
    }

    [Fact]
    public void Callbacks_of_ones_own()
    {
        using var trainer = Fit(new TrainerOptions { Callbacks = [new WorstSoFar(), Every.Steps(1, Measure)] }, keep: true)!;

        trainer.Metrics["spread"].Value.Should().BeGreaterThan(0.0);
        trainer.Metrics["largest_gradient"].Value.Should().BeGreaterThan(0.0);

        void Measure(TrainingRun run)
            => new CustomMetric("spread", current =>
            {
                var sampler = new DdimSampler(steps: 20);
                using var images = sampler.Sample(((DdpmTrainer)current.Trainer).Ema, [64, 1, 16, 16], seed: 0);
                return images.std().item<float>();
            }).Run(run);
    }

    [Fact]
    public void A_trainer_of_ones_own()
    {
        using var network = nn.Linear(2, 2);
        using var trainer = new ReconstructionTrainer(network, new TrainerOptions { Steps = 3, BatchSize = 4 });
        trainer.Fit(new Points(20));

        trainer.Step.Should().Be(3);
    }

    [Fact]
    public void The_examples_are_these_and_no_option_optimizer_or_callback_is_left_out()
    {
        var sources = File.ReadLines(Path.Combine(TestData.Root, "tests", "Diffusion.Core.Tests", $"{nameof(DocumentedTrainingTests)}.cs"))
            .Select(line => line.Trim())
            .ToHashSet();
        var lines = File.ReadAllLines(Path.Combine(TestData.Root, "docs", "training.md"));
        var isCode = false;
        var examples = new List<string>();
        foreach (var line in lines.Select(line => line.Trim()))
        {
            if (line.StartsWith("```", StringComparison.Ordinal))
                isCode = !isCode && line == "```csharp";
            else if (isCode)
                examples.Add(line);
        }

        examples.Should().HaveCountGreaterThan(60).And.OnlyContain(line => sources.Contains(line));
        foreach (var option in typeof(TrainerOptions).GetProperties())
            lines.Should().Contain(line => line.StartsWith('|') && line.Contains($"`{option.Name}`"), "{0} is an option", option.Name);
        var kinds = typeof(Trainer).Assembly.GetExportedTypes()
            .Concat(typeof(RunReport).Assembly.GetExportedTypes())
            .Where(type => !type.IsAbstract && (type.IsAssignableTo(typeof(TrainerCallback)) || type.IsAssignableTo(typeof(IOptimizer))))
            .ToArray();
        kinds.Should().HaveCountGreaterThan(5);
        foreach (var kind in kinds)
            lines.Should().Contain(line => line.StartsWith($"| `{kind.Name}` |", StringComparison.Ordinal), "{0} is one", kind.Name);
    }

    private static TrainerOptions Small(TrainerOptions options)
        => options with { Steps = 2, BatchSize = 4, MicroBatchSize = options.MicroBatchSize is null ? null : 2 };

    private DdpmTrainer? Fit(TrainerOptions options, bool keep = false)
    {
        var trainer = new DdpmTrainer(unet, schedule, new SimpleLoss(), Small(options));
        trainer.Fit(dataset, cancellationToken: TestContext.Current.CancellationToken);
        if (keep)
            return trainer;
        trainer.Dispose();
        return null;
    }

    public sealed class WorstSoFar : TrainerCallback, IStatefulCallback
    {
        private double _worst;

        public string Key => "worst-so-far";

        public override void Reported(TrainingRun run, TrainingProgress progress)
        {
            _worst = Math.Max(_worst, progress.GradientNorm);
            run.LogMetric("largest_gradient", _worst);
        }

        public JsonElement Save() => JsonSerializer.SerializeToElement(_worst);

        public void Load(JsonElement state) => _worst = state.GetDouble();
    }

    public sealed class ReconstructionTrainer(nn.Module<Tensor, Tensor> network, TrainerOptions options)
        : Trainer<Batch>(network, beginInference: null, options, logger: null)
    {
        protected override StepLoss Evaluate(Batch batch, StepRandom draws)
        {
            using var scope = NewDisposeScope();
            var noise = draws.Normal(stream: 100, batch.Samples.shape, batch.Samples.dtype, Device);
            var error = network.call(new LinearPair(1.0, 0.1).Apply(batch.Samples, noise)).sub(batch.Samples);
            return new StepLoss(error.mul(error).mean());
        }
    }
}
