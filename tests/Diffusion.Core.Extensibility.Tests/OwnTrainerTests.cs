using System.Text.Json;
using Diffusion.Core.Losses;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A trainer whose batch, condition, data, network, loss, optimizer, average, times and callback come from this assembly.</summary>
public sealed class OwnTrainerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("diffusion-core-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_trainer_of_ones_own_lowers_its_loss()
    {
        var losses = new Counter();
        Fit("run", losses, steps: 200).Should().Be(200);

        losses.Losses.TakeLast(5).Average().Should().BeLessThan(0.7 * losses.Losses[0]);
        losses.Masked.Should().Equal(losses.Losses, (masked, loss) => Math.Abs(masked - loss) < 1e-6, "the loss is reported under both names");
    }

    [Theory]
    [InlineData(null)]
    [InlineData(3)]
    public void It_goes_on_from_a_checkpoint_bit_for_bit(int? microBatchSize)
    {
        var (whole, parts) = (new Counter(), new Counter());
        Fit("whole", whole, steps: 12, microBatchSize);

        Fit("parts", new Counter(), steps: 7, microBatchSize).Should().Be(7);
        Fit("parts", parts, steps: 12, microBatchSize).Should().Be(12);

        parts.Count.Should().Be(12, "what a callback counts goes on too").And.Be(whole.Count);
        var state = State("whole");
        state.Keys.Should().BeEquivalentTo("model.safetensors", "ema.safetensors", "ema-slow.safetensors", "optimizer.safetensors");
        State("parts").Should().BeEquivalentTo(state);
    }

    private long Fit(string name, Counter counter, long steps, int? microBatchSize = null)
    {
        using var network = new PairNetwork(seed: 2);
        using var trainer = new PairTrainer(network, new PowerSchedule(1.2), new TrainerOptions
        {
            Steps = steps,
            BatchSize = 8,
            MicroBatchSize = microBatchSize,
            LearningRateSchedule = step => 0.01 / (1.0 + (0.01 * step)),
            Optimizer = new SignDescent(0.9),
            Ema = new Halfway(),
            ExtraEmas = new Dictionary<string, EmaDecay> { ["slow"] = EmaDecay.Constant(0.99) },
            Timesteps = new Early(),
            LogEvery = 2,
            CheckpointFolder = Path.Combine(_folder, name),
            Callbacks = [counter],
        });
        trainer.Fit(new PairDataset(), null, TestContext.Current.CancellationToken);
        return trainer.Step;
    }

    private Dictionary<string, string> State(string name)
        => Directory.GetFiles(CheckpointStore.Latest(Path.Combine(_folder, name))!, "*.safetensors")
            .ToDictionary(path => Path.GetFileName(path), path => Convert.ToHexString(File.ReadAllBytes(path)));

    private sealed class Halfway : EmaDecay
    {
        public override double At(long step) => 0.5;
    }

    private sealed class Early : ITimestepSampler
    {
        public Tensor Sample(INoiseSchedule schedule, long count, Generator generator)
        {
            using var u = rand([count], dtype: ScalarType.Float64, generator: generator);
            return u.mul(u).mul_(schedule.MaxTime - schedule.MinTime).add_(schedule.MinTime);
        }
    }

    private sealed class Counter : TrainerCallback, IStatefulCallback
    {
        public string Key => "counter";

        public long Count { get; private set; }

        public List<double> Losses { get; } = [];

        public List<double> Masked { get; } = [];

        public override void AfterStep(TrainingRun run) => Count++;

        public override void Reported(TrainingRun run, TrainingProgress progress)
        {
            Losses.Add(progress.Loss);
            Masked.Add(progress.Metrics["masked_mse"]);
        }

        public JsonElement Save() => JsonSerializer.SerializeToElement(Count);

        public void Load(JsonElement state) => Count = state.GetInt64();
    }
}
