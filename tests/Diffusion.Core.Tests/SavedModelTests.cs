using System.Text.Json.Nodes;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>A model is saved and loaded with everything that sampling needs, and nothing is stated again.</summary>
public class SavedModelTests
{
    private static readonly long[] _points = [5, 2];

    private static readonly ModelFormat _format = ModelFormat.Default
        .With(new HalfPrediction())
        .WithSchedule("power", (PowerSchedule schedule) => new JsonObject { ["power"] = schedule.Power }, options => new PowerSchedule((double)options["power"]!))
        .WithSchedule("beta", (BetaSchedule _) => [], _ => (BetaSchedule)TestSchedules.MakeAny("beta, integrated"));

    public static TheoryData<string, string> EveryPredictionAndSchedule
    {
        get
        {
            var rows = new TheoryData<string, string>();
            foreach (var prediction in Predictions.Keys)
            {
                foreach (var schedule in TestSchedules.AllNames.Select(row => row.Data))
                    rows.Add(prediction, schedule);
            }

            return rows;
        }
    }

    private static Dictionary<string, Prediction> Predictions { get; } = new[]
    {
        Prediction.Epsilon, Prediction.X0, Prediction.Velocity, Prediction.Score, Prediction.FlowVelocity, Prediction.PreviousMean,
        Prediction.Edm(0.3), Prediction.EdmVelocity(0.7), Prediction.Consistency(0.4, 0.003), new HalfPrediction(),
    }.ToDictionary(prediction => prediction.Name);

    [Theory]
    [MemberData(nameof(EveryPredictionAndSchedule))]
    public void A_trained_model_that_is_saved_and_loaded_samples_the_same_bits(string prediction, string schedule)
    {
        using var folder = new TemporaryFolder();
        using var network = Network();
        using var model = new DiffusionModel(network, TestSchedules.MakeAny(schedule), Predictions[prediction]);
        using var trainer = new DdpmTrainer(model, new SimpleLoss(), Options());
        using var batch = new Batch(randn(8, 2));
        TryTrain(trainer, batch);

        trainer.Ema.Save(folder.Path, _format);
        using var loaded = DiffusionModel.Load(folder.Path, format: _format);

        Outcome(loaded).Should().Be(Outcome(trainer.Ema));
        loaded.Prediction.Name.Should().Be(prediction);
        Directory.GetFiles(folder.Path).Select(Path.GetFileName).Should().BeEquivalentTo("model.json", "model.safetensors");
    }

    [Fact]
    public void Everything_that_is_stated_comes_back()
    {
        using var folder = new TemporaryFolder();
        using var network = Network();
        using var model = new DiffusionModel(network, new EdmSchedule(), Prediction.Edm())
        {
            DataRange = new DataRange(0.0, double.PositiveInfinity),
            NullLabel = 10,
            Metadata = new Dictionary<string, string> { ["licence"] = "MIT \"for all\"" },
        };
        model.Save(folder.Path);
        using var loaded = DiffusionModel.Load(folder.Path);

        loaded.DataRange.Should().Be(model.DataRange);
        loaded.NullLabel.Should().Be(10);
        loaded.LearnsVariance.Should().BeFalse();
        loaded.Metadata.Should().Equal(model.Metadata);
        loaded.Network.Should().BeOfType<MlpDenoiser>().Which.Options.Width.Should().Be(16);

        using var again = model.With(DataRange.Unbounded);
        again.Save(folder.Path);
        using var replaced = DiffusionModel.Load(folder.Path);
        replaced.DataRange.Should().Be(DataRange.Unbounded);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_registered_prediction_does_not_replace_one_with_other_parameters()
    {
        using var folder = new TemporaryFolder();
        using var network = Network();
        using var model = new DiffusionModel(network, new EdmSchedule(), Prediction.Edm());
        model.Save(folder.Path);
        var format = ModelFormat.Default.With(Prediction.Edm(0.3));

        FluentActions.Invoking(() => DiffusionModel.Load(folder.Path, format: format))
            .Should().Throw<InvalidDataException>().WithMessage("*saved with*0.5*registered with*0.3*");
        using var same = DiffusionModel.Load(folder.Path, format: ModelFormat.Default.With(Prediction.Edm(0.5)));
        same.Prediction.Parameters["sigma_data"].Should().Be(0.5);
    }

    [Fact]
    public void A_checkpoint_is_a_model_with_averaged_weights()
    {
        using var folder = new TemporaryFolder();
        using var network = Network();
        using var model = new DiffusionModel(network, DiscreteSchedule.Cosine(100), Prediction.Velocity);
        using var trainer = new DdpmTrainer(model, new SimpleLoss(), Options() with { CheckpointFolder = folder.Path });
        using var batch = new Batch(randn(8, 2));
        trainer.TrainStep(batch);
        var checkpoint = trainer.Save();
        var expected = Outcome(trainer.Ema);

        using var one = DiffusionModel.Load(checkpoint);
        using var newest = DiffusionModel.Load(folder.Path);
        Outcome(one).Should().Be(expected);
        Outcome(newest).Should().Be(expected);

        trainer.TrainStep(batch);
        Outcome(trainer.Ema).Should().NotBe(expected);
        trainer.Resume(folder.Path);
        Outcome(trainer.Ema).Should().Be(expected);
    }

    [Theory]
    [InlineData("prediction")]
    [InlineData("learns variance")]
    [InlineData("data range")]
    public void A_checkpoint_of_another_model_is_not_resumed(string what)
    {
        using var folder = new TemporaryFolder();
        using var first = Network();
        using var model = new DiffusionModel(first, DiscreteSchedule.Cosine(100));
        using (var trainer = new DdpmTrainer(model, new SimpleLoss(), Options()))
            trainer.Save(folder.Path);

        using var second = Network();
        using var other = what switch
        {
            "prediction" => new DiffusionModel(second, DiscreteSchedule.Cosine(100), Prediction.X0),
            "learns variance" => new DiffusionModel(second, DiscreteSchedule.Cosine(100)) { LearnsVariance = true },
            _ => new DiffusionModel(second, DiscreteSchedule.Cosine(100)) { DataRange = DataRange.Images },
        };
        using var resumed = new DdpmTrainer(other, new SimpleLoss(), Options());
        FluentActions.Invoking(() => resumed.Resume(folder.Path)).Should().Throw<CheckpointException>().WithMessage($"*{what}*");
    }

    [Fact]
    public void A_network_of_an_unknown_class_is_passed_by_the_caller()
    {
        using var folder = new TemporaryFolder();
        using var network = Network();
        using var model = new DiffusionModel(new Custom(network), DiscreteSchedule.Cosine(100));
        model.Save(folder.Path);

        FluentActions.Invoking(() => DiffusionModel.Load(folder.Path)).Should().Throw<NotSupportedException>().WithMessage("*Custom*");

        using var other = Network();
        using var loaded = DiffusionModel.Load(folder.Path, new Custom(other));
        Outcome(loaded).Should().Be(Outcome(model));

        using var wide = new MlpDenoiser(new MlpDenoiserOptions { Width = 32, Layers = 1 });
        FluentActions.Invoking(() => DiffusionModel.Load(folder.Path, new Custom(wide))).Should().Throw<InvalidDataException>();
    }

    [Fact]
    public void A_network_with_other_options_than_those_saved_is_named()
    {
        using var folder = new TemporaryFolder();
        using var network = Network();
        using var model = new DiffusionModel(network, DiscreteSchedule.Cosine(100));
        model.Save(folder.Path);
        using var wide = new MlpDenoiser(new MlpDenoiserOptions { Width = 32, Layers = 1 });
        FluentActions.Invoking(() => DiffusionModel.Load(folder.Path, wide)).Should().Throw<InvalidDataException>().WithMessage("*\"width\":16*\"width\":32*");
    }

    [Fact]
    public void Custom_schedules_and_predictions_need_one_line_each()
    {
        using var folder = new TemporaryFolder();
        using var network = Network();
        using var model = new DiffusionModel(network, new PowerSchedule(1.5), new HalfPrediction());
        model.Save(folder.Path, _format);
        using var loaded = DiffusionModel.Load(folder.Path, format: _format);
        loaded.Schedule.Should().BeOfType<PowerSchedule>().Which.Power.Should().Be(1.5);
        Outcome(loaded).Should().Be(Outcome(model));
        FluentActions.Invoking(() => DiffusionModel.Load(folder.Path)).Should().Throw<NotSupportedException>().WithMessage("*power*WithSchedule*");

        model.Save(folder.Path);
        FluentActions.Invoking(() => DiffusionModel.Load(folder.Path, format: _format)).Should().Throw<NotSupportedException>().WithMessage("*PowerSchedule*");
    }

    [Theory]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{\"format\": \"other\", \"version\": 1}")]
    [InlineData("version")]
    [InlineData("unknown")]
    [InlineData("missing")]
    [InlineData("outside")]
    public void A_damaged_description_is_refused(string damage)
    {
        using var folder = new TemporaryFolder();
        using var network = Network();
        using var model = new DiffusionModel(network, DiscreteSchedule.Cosine(10));
        model.Save(folder.Path);
        var path = folder.File("model.json");
        var description = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        switch (damage)
        {
            case "version": description["version"] = 2; break;
            case "unknown": description["beta_shedule"] = 1; break;
            case "missing": description.Remove("prediction"); break;
            case "outside": description["weights"] = "../model.safetensors"; break;
        }

        File.WriteAllText(path, damage.Contains('{') || damage == "[]" ? damage : description.ToJsonString());
        FluentActions.Invoking(() => DiffusionModel.Load(folder.Path)).Should().Throw<InvalidDataException>().WithMessage("*model.json*");
    }

    [Fact]
    public void A_folder_without_a_model_and_weights_that_are_missing_are_named()
    {
        using var folder = new TemporaryFolder();
        FluentActions.Invoking(() => DiffusionModel.Load(folder.Path)).Should().Throw<FileNotFoundException>().WithMessage("*model.json*");
        using var network = Network();
        using var model = new DiffusionModel(network, DiscreteSchedule.Cosine(10));
        model.Save(folder.Path);
        File.Delete(folder.File("model.safetensors"));
        FluentActions.Invoking(() => DiffusionModel.Load(folder.Path)).Should().Throw<FileNotFoundException>();
        var exact = new DiffusionModel(new DelegateDenoiser((x, _) => x.clone()), DiscreteSchedule.Cosine(10));
        FluentActions.Invoking(() => exact.Save(folder.File("none"))).Should().Throw<NotSupportedException>();
        Directory.Exists(folder.File("none")).Should().BeFalse();
    }

    private static MlpDenoiser Network()
    {
        manual_seed(4);
        return new MlpDenoiser(new MlpDenoiserOptions { Width = 16, Layers = 1 });
    }

    private static TrainerOptions Options() => new() { BatchSize = 8, Ema = EmaDecay.Constant(0.5), LearningRate = 1e-2, WarmupSteps = 0 };

    /// <summary>Two steps; some predictions have no finite target everywhere on some schedules.</summary>
    private static void TryTrain(DdpmTrainer trainer, Batch batch)
    {
        try
        {
            trainer.TrainStep(batch);
            trainer.TrainStep(batch);
        }
        catch (ArgumentException)
        {
            // No steps for a prediction that needs them; the weights are those it began with.
        }
    }

    /// <summary>The bits of samples, or the message where the model cannot be sampled from.</summary>
    private static string Outcome(DiffusionModel model)
    {
        var spacing = model.Schedule is DiscreteSchedule ? TimeSpacing.Trailing : ScheduleTimeSpacing.Uniform();
        var steps = model.Schedule is DiscreteSchedule discrete ? Math.Min(4, discrete.Steps) : 4;
        try
        {
            using var samples = new DdimSampler(steps, spacing: spacing).Sample(model, _points, seed: 5);
            return string.Join(' ', samples.Values().Select(BitConverter.DoubleToInt64Bits));
        }
        catch (ArgumentException e)
        {
            return e.Message;
        }
    }

    private sealed class Custom(MlpDenoiser inner) : ITrainableDenoiser
    {
        public nn.Module Module => inner;

        public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => inner.Predict(xt, t, condition);

        public IDisposable? BeginInference() => new EvaluationMode(inner);
    }

    private sealed class PowerSchedule(double power) : INoiseSchedule
    {
        public double Power { get; } = power;

        public double MinTime => 0.01;

        public double MaxTime => 0.99;

        public NoiseLevel LevelAt(double t) => new(1.0 - Math.Pow(t, Power), Math.Pow(t, Power));
    }

    /// <summary>Half of eps.</summary>
    private sealed class HalfPrediction : Prediction
    {
        public override string Name => "half";

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(0.0, 0.5);

        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous) => new(1.0 / level.Alpha, -2.0 * level.Sigma / level.Alpha);

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => new(0.0, 2.0);
    }
}
