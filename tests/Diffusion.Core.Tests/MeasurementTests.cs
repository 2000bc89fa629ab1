using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class MeasurementTests
{
    [Theory]
    [InlineData(TrainerOptions.MainEma)]
    [InlineData(null)]
    public void A_run_with_evaluations_is_bit_for_bit_that_without(string? average)
    {
        using var folder = new TemporaryFolder();
        var options = Runs.Options with { CheckpointFolder = folder.File("plain") };
        var losses = new List<double>();
        var watch = new Watch((_, value) => losses.Add(value));
        Fit(options);
        Fit(options with
        {
            CheckpointFolder = folder.File("watched"),
            Callbacks =
            [
                watch,
                Every.Steps(3, new ValidationLoss(new Points(30)) { Average = average, BatchSize = 7 }.Run),
                Every.Steps(2, new CustomMetric("weight", run => ((DdpmTrainer)run.Trainer).LastLoss) { Average = average }.Run),
                Every.Steps(4, new SampleGrid(new DdimSampler(3, options: Runs.Clipped), [4, 2], folder.File("grids")) { ToImages = AsImages }.Run),
            ],
        });

        losses.Should().HaveCount(6 + 10);
        Directory.GetFiles(folder.File("grids")).Should().HaveCount(5);
        State(folder.File("watched")).Should().BeEquivalentTo(State(folder.File("plain")));
    }

    [Fact]
    public void The_validation_loss_is_the_mean_over_samples_at_fixed_times_and_noise()
    {
        var values = new Dictionary<string, List<double>>();
        var watch = new Watch((name, value) => (values.TryGetValue(name, out var list) ? list : values[name] = []).Add(value));
        TrainerCallback Validate(string name, int batchSize, long seed = 0, string? average = null) => Every.Steps(
            10, new ValidationLoss(new Points(30)) { Name = name, BatchSize = batchSize, Seed = seed, Average = average, Samples = 25 }.Run);
        using var model = new TinyDenoiser(dropout: 0.5);
        using var trainer = Runs.Trainer(model, Runs.Options with
        {
            Callbacks = [watch, Validate("one", 1), Validate("seven", 7), Validate("again", 7), Validate("other", 7, seed: 1), Validate("ema", 7, average: "ema")],
        });

        trainer.Run(new Points(50));

        values["one"].Should().HaveCount(2);
        values["again"].Should().Equal(values["seven"], "nothing is drawn anew");
        for (var i = 0; i < 2; i++)
            values["one"][i].Should().BeApproximately(values["seven"][i], 1e-6, "but for rounding the batch size does not matter");
        values["other"][1].Should().NotBe(values["seven"][1]);
        values["ema"][1].Should().NotBe(values["seven"][1]);
        values["seven"][1].Should().BeApproximately(Expected(model), 1e-6);
    }

    [Fact]
    public void Evaluations_leave_no_tensors_and_give_the_mode_back()
    {
        using var model = new TinyDenoiser(dropout: 0.5);
        var validation = new ValidationLoss(new Points(30)) { BatchSize = 7 };
        var raw = new CustomMetric("mode", run =>
        {
            model.training.Should().BeFalse();
            is_grad_enabled().Should().BeFalse();
            ones(3).add_(1.0);
            return 1.0;
        })
        {
            Average = null,
        };
        using var trainer = Runs.Trainer(model, Runs.Options with { Callbacks = [Every.Steps(2, validation.Run), Every.Steps(1, raw.Run)] });
        trainer.Run(new Points(50));
        using var longer = new TinyDenoiser(dropout: 0.5);
        model.training.Should().BeTrue();

        using var second = Runs.Trainer(longer, Runs.Options with { Callbacks = [Every.Steps(2, validation.Run)] });
        var change = 0L;
        second.Run(new Points(50), new DirectProgress(report =>
        {
            if (report.Step == 10)
                change = -Tensor.TotalCount;
            if (report.Step == 20)
                change += Tensor.TotalCount;
        }));
        change.Should().Be(0);
    }

    [Fact]
    public void A_validation_loss_asks_for_a_trainer_of_denoisers_and_for_samples()
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { Callbacks = [Every.Steps(1, new ValidationLoss(new Points(0)).Run)] });
        FluentActions.Invoking(() => trainer.Run(new Points(50))).Should().Throw<TrainerCallbackException>().WithInnerException<ArgumentOutOfRangeException>().WithMessage("*Samples*");

        using var vae = new Vae(new() { Body = new MlpBody { SampleShape = [2], Hidden = [4], LatentFeatures = 2 } });
        using var other = new AutoencoderTrainer(
            vae, new AutoencoderLoss(), Runs.Options with { Callbacks = [Every.Steps(1, new ValidationLoss(new Points(5)).Run)] });
        FluentActions.Invoking(() => other.Run(new Points(50))).Should().Throw<TrainerCallbackException>().WithInnerException<InvalidOperationException>().WithMessage("*AutoencoderTrainer*");
    }

    /// <summary>The same mean from the definition: every sample's time and noise, and the network called by hand.</summary>
    private static double Expected(TinyDenoiser model)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        using var evaluation = new EvaluationMode(model);
        using var timesFrom = Schedules.SeedSequence.Generator(null, 0, 0);
        var times = new UniformTimesteps().Sample(Runs.Schedule, 25, timesFrom).data<long>().ToArray();
        var sum = 0.0;
        for (var i = 0; i < 25; i++)
        {
            using var noiseFrom = Schedules.SeedSequence.Generator(null, 0, 1, i);
            var noise = randn([2], generator: noiseFrom).unsqueeze(0);
            using var batch = Runs.Batch(i);
            var level = Runs.Schedule.LevelAt(times[i]);
            var x = batch.Samples.mul(level.Alpha).add(noise.mul(level.Sigma));
            var error = model.Predict(x, tensor(new[] { times[i] })).sub(noise);
            sum += error.mul(error).mean().item<float>();
        }

        return sum / 25;
    }

    private static Tensor AsImages(Tensor points) => points.reshape(1, 1, 4, 2);

    private static void Fit(TrainerOptions options)
    {
        using var model = new TinyDenoiser(dropout: 0.3);
        using var trainer = Runs.Trainer(model, options);
        trainer.Run(new Points(50));
    }

    private static Dictionary<string, string> State(string run)
        => Bits.OfFolder(CheckpointStore.Latest(run)!).Where(file => file.Key.EndsWith(".safetensors", StringComparison.Ordinal)).ToDictionary();

    private sealed class Watch(Action<string, double> measured) : TrainerCallback
    {
        public override void MetricLogged(TrainingRun run, string name, double value) => measured(name, value);
    }
}
