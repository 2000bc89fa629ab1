using System.Text.Json;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

/// <summary>Which checkpoint is the newest, and which are kept.</summary>
public class CheckpointStoreTests
{
    [Fact]
    public void The_pointer_names_the_newest_and_without_it_the_last_step_counts()
    {
        using var folder = new TemporaryFolder();
        Run(folder.Path, 12, CheckpointRetention.All);
        File.ReadAllText(folder.File("latest")).Should().Be("step-00000012\n");

        File.WriteAllText(folder.File("latest"), "step-00000008\n");
        CheckpointStore.Latest(folder.Path).Should().Be(folder.File("step-00000008"), "who writes to it goes back");
        foreach (var damaged in (string[])["", "step-00000099\n", "../step-00000008", "/step-00000008", "\0\0\0"])
        {
            File.WriteAllText(folder.File("latest"), damaged);
            CheckpointStore.Latest(folder.Path).Should().Be(folder.File("step-00000012"), damaged);
        }

        foreach (var spelling in (string[])["step-00000008/", "./step-00000008", folder.File("step-00000008"), folder.File("step-00000008/\r\n")])
        {
            File.WriteAllText(folder.File("latest"), spelling);
            CheckpointStore.Latest(folder.Path).Should().Be(folder.File("step-00000008"), spelling);
        }

        File.Delete(folder.File("latest"));
        CheckpointStore.Latest(folder.Path).Should().Be(folder.File("step-00000012"));
    }

    [Fact]
    public void A_pointer_to_a_checkpoint_that_does_not_exist_is_logged()
    {
        using var folder = new TemporaryFolder();
        Run(folder.Path, 8, CheckpointRetention.All);
        File.WriteAllText(folder.File("latest"), "step-4\n");
        var logger = new ListLogger();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Options(folder.Path, 12, CheckpointRetention.All), logger: logger);

        trainer.Resume(folder.Path);

        trainer.Step.Should().Be(4, "a name without leading zeros means the same step");
        File.WriteAllText(folder.File("latest"), "step-5\n");
        trainer.Resume(folder.Path);
        trainer.Step.Should().Be(8);
        logger.Warnings.Should().ContainSingle().Which.Should().Contain("'step-5'").And.Contain("step-00000008");
    }

    [Fact]
    public void Anything_else_with_the_name_of_a_checkpoint_is_renamed_and_the_run_continues()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.File("step-00000004"));
        File.WriteAllText(folder.File("step-00000004/notes.txt"), "mine");
        File.WriteAllText(folder.File("step-00000008"), "mine too");
        Directory.CreateDirectory(folder.File("step-00000012"));
        File.WriteAllText(folder.File("foreign-00000008"), "an earlier one");
        var logger = new ListLogger();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Options(folder.Path, 12, CheckpointRetention.All), logger: logger);

        trainer.Run(new Points(50));

        CheckpointStore.List(folder.Path).Select(Path.GetFileName).Should().Equal("step-00000004", "step-00000008", "step-00000012");
        File.ReadAllText(folder.File("foreign-00000004/notes.txt")).Should().Be("mine");
        File.ReadAllText(folder.File("foreign-00000008-2")).Should().Be("mine too");
        logger.Warnings.Should().HaveCount(2);
    }

    [Fact]
    public void A_run_that_goes_back_leaves_later_checkpoints_behind()
    {
        using var folder = new TemporaryFolder();
        Run(folder.Path, 12, CheckpointRetention.All);
        var left = Bits.OfFolder(folder.File("step-00000012"));
        using (var model = new TinyDenoiser())
        using (var trainer = Trainer(model, folder.Path, 9, CheckpointRetention.All))
        {
            trainer.Resume(folder.File("step-00000004"));
            CheckpointStore.Latest(folder.Path).Should().Be(folder.File("step-00000012"), "nothing was saved yet");
            trainer.Run(new Points(50));
        }

        CheckpointStore.List(folder.Path).Select(Path.GetFileName)
            .Should().Equal("step-00000004", "step-00000008", "step-00000009");
        CheckpointStore.Latest(folder.Path).Should().Be(folder.File("step-00000009"));
        Bits.OfFolder(folder.File("abandoned-00000012")).Should().Equal(left);

        // Once more, and the newer of two that were left at one step stays.
        Run(folder.Path, 12, CheckpointRetention.All);
        using (var model = new TinyDenoiser())
        using (var trainer = Trainer(model, folder.Path, 10, CheckpointRetention.All))
        {
            trainer.Resume(folder.File("step-00000009"));
            trainer.Run(new Points(50));
        }

        Directory.GetDirectories(folder.Path).Select(Path.GetFileName).Should().BeEquivalentTo(
            "step-00000004", "step-00000008", "step-00000009", "step-00000010", "abandoned-00000012");
    }

    [Fact]
    public void Checkpoints_are_kept_by_number_by_step_by_metric_and_by_any_of_these()
    {
        var all = Infos((1, 0.5), (2, 0.1), (3, 0.3), (4, 0.1), (5, null), (6, double.NaN), (7, 0.9));

        Kept(CheckpointRetention.Last(2), all).Should().Equal(6, 7);
        Kept(CheckpointRetention.Every(3), all).Should().Equal(3, 6);
        Kept(CheckpointRetention.Best("fid"), all).Should().Equal([2], "of equals the first is nearest to the weights that were measured");
        Kept(CheckpointRetention.Best("fid", 3), all).Should().Equal(2, 3, 4);
        Kept(CheckpointRetention.Highest("fid"), all).Should().Equal(7);
        Kept(CheckpointRetention.Best("other"), all).Should().BeEmpty();
        Kept(CheckpointRetention.All, all).Should().HaveCount(7);
        Kept(CheckpointRetention.Any(CheckpointRetention.Last(1), CheckpointRetention.Every(4), CheckpointRetention.Best("fid")), all)
            .Should().Equal(2, 4, 7);
    }

    [Fact]
    public void A_run_keeps_its_newest_best_and_round_checkpoints()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        var values = new Dictionary<long, double> { [4] = 3.0, [8] = 1.0, [12] = 2.0, [16] = 4.0, [20] = 5.0 };
        var retention = CheckpointRetention.Any(
            CheckpointRetention.Last(1), CheckpointRetention.Best("fid"), CheckpointRetention.Every(12));
        using var trainer = new DdpmTrainer(model, Runs.Schedule, new Losses.SimpleLoss(), Options(folder.Path, 20, retention) with
        {
            Callbacks = [new Measuring(values)],
        });

        trainer.Run(new Points(50));

        CheckpointStore.List(folder.Path).Select(Path.GetFileName)
            .Should().Equal("step-00000008", "step-00000012", "step-00000020");
        trainer.Metrics["fid"].Should().Be(new RecordedMetric(5.0, 20));
        trainer.Metrics.Keys.Should().Equal("fid", "loss");
        trainer.Resume(folder.File("step-00000008"));
        trainer.Metrics["fid"].Should().Be(new RecordedMetric(1.0, 8));
    }

    [Fact]
    public void A_strategy_of_ones_own_decides_but_the_newest_stays()
    {
        using var folder = new TemporaryFolder();

        Run(folder.Path, 12, new Nothing());

        CheckpointStore.List(folder.Path).Select(Path.GetFileName).Should().Equal("step-00000012");
    }

    [Fact]
    public void What_callbacks_remember_comes_back_and_what_is_not_asked_for_stays()
    {
        using var folder = new TemporaryFolder();
        void Part(long steps, params TrainerCallback[] callbacks)
        {
            using var model = new TinyDenoiser();
            var options = Options(folder.Path, steps, CheckpointRetention.All) with { Callbacks = callbacks };
            using var trainer = Runs.Trainer(model, options);
            trainer.Run(new Points(50));
        }

        var (first, second, third) = (new Counting("a"), new Counting("b"), new Counting("a"));
        Part(4, first, second);
        Part(8);
        Part(12, third);

        first.Steps.Should().Be(4);
        third.Steps.Should().Be(4 + 4, "the part in the middle did not count");
        File.ReadAllText(folder.File("step-00000012/trainer.json")).Should().Contain("\"b\": 4");
        third.Broken = true;
        FluentActions.Invoking(() => Part(16, third)).Should().Throw<CheckpointException>().WithMessage("*the state of the callback 'a' cannot be read*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Retentions_that_keep_nothing_in_particular_are_refused()
    {
        foreach (var make in (Action[])
        [
            () => CheckpointRetention.Last(0),
            () => CheckpointRetention.Every(0),
            () => CheckpointRetention.Best(" "),
            () => CheckpointRetention.Best("fid", 0),
            () => CheckpointRetention.Any(),
        ])
            make.Should().Throw<ArgumentException>();
    }

    private static TrainerOptions Options(string folder, long steps, CheckpointRetention retention)
        => Runs.Options with { Steps = steps, CheckpointFolder = folder, CheckpointEvery = 4, CheckpointRetention = retention };

    private static DdpmTrainer Trainer(TinyDenoiser model, string folder, long steps, CheckpointRetention retention)
        => Runs.Trainer(model, Options(folder, steps, retention));

    private static void Run(string folder, long steps, CheckpointRetention retention)
    {
        using var model = new TinyDenoiser();
        using var trainer = Trainer(model, folder, steps, retention);
        trainer.Run(new Points(50));
    }

    private static CheckpointInfo[] Infos(params (long Step, double? Value)[] all) => Array.ConvertAll(
        all,
        one => new CheckpointInfo(
            $"step-{one.Step}",
            one.Step,
            () => one.Value is { } value
                ? new() { ["fid"] = new RecordedMetric(value, one.Step) }
                : new Dictionary<string, RecordedMetric>()));

    private static IEnumerable<long> Kept(CheckpointRetention retention, CheckpointInfo[] all)
        => retention.Keep(all).Select(checkpoint => checkpoint.Step).Order();

    private sealed class Nothing : CheckpointRetention
    {
        public override IEnumerable<CheckpointInfo> Keep(IReadOnlyList<CheckpointInfo> checkpoints) => [];
    }

    private sealed class Measuring(Dictionary<long, double> values) : TrainerCallback
    {
        public override void AfterStep(TrainingRun run)
        {
            if (values.TryGetValue(run.Step, out var value))
                run.LogMetric("fid", value);
        }
    }

    private sealed class Counting(string key) : TrainerCallback, IStatefulCallback
    {
        public int Steps { get; private set; }

        public bool Broken { get; set; }

        public string Key => key;

        public override void AfterStep(TrainingRun run) => Steps++;

        public JsonElement Save() => JsonSerializer.SerializeToElement(Steps);

        public void Load(JsonElement state) => Steps = Broken ? throw new JsonException("no") : state.GetInt32();
    }
}
