using System.Text;
using System.Text.Json.Nodes;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Tests;

public class CheckpointTests
{
    [Fact]
    public void The_newest_checkpoints_are_kept()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(
            model, Runs.Options with { CheckpointFolder = folder.Path, CheckpointEvery = 3, KeepCheckpoints = 2 });

        trainer.Run(new Points(50));

        CheckpointStore.List(folder.Path).Select(Path.GetFileName).Should().Equal("step-00000018", "step-00000020");
        Directory.GetFileSystemEntries(folder.Path).Select(Path.GetFileName)
            .Should().BeEquivalentTo("step-00000018", "step-00000020", "latest");
        File.ReadAllText(folder.File("latest")).Should().Be("step-00000020\n");
    }

    [Fact]
    public void A_checkpoint_holds_what_it_says()
    {
        using var folder = new TemporaryFolder();
        Save(folder.File("a"));

        Directory.GetFiles(folder.File("a")).Select(Path.GetFileName).Should().BeEquivalentTo(
            "model.safetensors", "ema.safetensors", "optimizer.safetensors", "trainer.json", "trainer.json.sha256");
        var manifest = JsonNode.Parse(File.ReadAllText(folder.File("a/trainer.json")))!;
        ((int)manifest["step"]!).Should().Be(20);
        ((int)manifest["seed"]!).Should().Be(5);
        ((int)manifest["batch_size"]!).Should().Be(8);
        ((int)manifest["dataset_count"]!).Should().Be(50);
        manifest["files"]!.AsArray().Select(file => (long)file!["size"]!).Should().Equal(
            new FileInfo(folder.File("a/model.safetensors")).Length,
            new FileInfo(folder.File("a/ema.safetensors")).Length,
            new FileInfo(folder.File("a/optimizer.safetensors")).Length);
    }

    [Fact]
    public void A_manifest_from_before_there_were_trainers_without_a_schedule_is_read()
    {
        const string before = """
            {
              "format": "diffusion-core-trainer",
              "version": 1,
              "step": 20,
              "seed": 5,
              "batch_size": 8,
              "dataset_count": null,
              "skipped_steps": 0,
              "skipped_in_a_row": 0,
              "schedule": {
                "min_time": 0,
                "max_time": 8,
                "alphas": [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
                "sigmas": [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
              },
              "files": [{ "name": "model.safetensors", "size": 12, "sha256": "ab" }]
            }
            """;

        var manifest = CheckpointManifest.Parse(Encoding.UTF8.GetBytes(before));

        manifest.Step.Should().Be(20);
        manifest.Files.Should().ContainSingle().Which.Should().Be(new CheckpointFile("model.safetensors", 12, "ab"));
        manifest.Schedule!.DifferenceFrom(ScheduleFingerprint.Of(new Tenths(1.0))).Should().BeNull();
        manifest.Schedule.DifferenceFrom(ScheduleFingerprint.Of(new Tenths(2.0)))
            .Should().Be("a network that is told 1 at time 1, not 2", "what no file of then names is the time itself");
    }

    [Fact]
    public void Saving_again_replaces_a_checkpoint()
    {
        using var folder = new TemporaryFolder();
        Save(folder.File("a"));
        var before = Bits.OfFolder(folder.File("a"));

        Save(folder.File("a"), seed: 6);

        Bits.OfFolder(folder.File("a")).Should().NotEqual(before).And.HaveCount(5);
        Directory.GetFileSystemEntries(folder.Path).Should().ContainSingle();
    }

    [Fact]
    public void What_a_save_that_was_cut_short_left_is_neither_found_nor_in_the_way()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.File(".step-00000020.partial"));
        File.WriteAllText(folder.File(".step-00000020.partial/model.safetensors"), "half");
        Directory.CreateDirectory(folder.File("step-00000030"));
        File.WriteAllText(folder.File("step-00000030/model.safetensors"), "not ours");
        Directory.CreateDirectory(folder.File("step-last"));
        CheckpointStore.Latest(folder.Path).Should().BeNull();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { CheckpointFolder = folder.Path });

        trainer.Run(new Points(50));

        CheckpointStore.Latest(folder.Path).Should().Be(folder.File("step-00000020"));
        Directory.Exists(folder.File(".step-00000020.partial")).Should().BeFalse();
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("ema.safetensors")]
    [InlineData("optimizer.safetensors")]
    [InlineData("trainer.json")]
    [InlineData("trainer.json.sha256")]
    [Trait(Category.Name, Category.Fault)]
    public void Damaged_truncated_and_missing_files_are_refused_by_name_and_nothing_is_loaded(string file)
    {
        using var folder = new TemporaryFolder();
        Save(folder.File("good"));
        var contents = File.ReadAllBytes(Path.Combine(folder.File("good"), file));
        using var model = new TinyDenoiser(seed: 4);
        using var trainer = Runs.Trainer(model);
        trainer.Save(folder.File("before"));

        void Refused(string kind, byte[]? damaged)
        {
            var path = Path.Combine(folder.File("good"), file);
            File.Delete(path);
            if (damaged is not null)
                File.WriteAllBytes(path, damaged);
            var error = FluentActions.Invoking(() => trainer.Resume(folder.File("good"))).Should().Throw<CheckpointException>(kind).Which;
            error.Message.Should().Contain(file, kind);
        }

        foreach (var place in (int[])[0, contents.Length / 2, contents.Length - 2])
        {
            var flipped = contents.ToArray();
            flipped[place] ^= 1;
            Refused($"bit {place}", flipped);
        }

        Refused("truncated", contents[..^3]);
        Refused("empty", []);
        if (file == "trainer.json")
            FluentActions.Invoking(() => { File.Delete(folder.File("good/trainer.json")); trainer.Resume(folder.File("good")); })
                .Should().Throw<CheckpointException>().WithMessage("*no checkpoint here*");
        else
            Refused("missing", null);

        trainer.Step.Should().Be(0);
        trainer.Save(folder.File("after"));
        Bits.OfFolder(folder.File("after")).Should().Equal(Bits.OfFolder(folder.File("before")));
        File.WriteAllBytes(Path.Combine(folder.File("good"), file), contents);
        trainer.Resume(folder.File("good"));
        trainer.Step.Should().Be(20);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Swapped_files_are_refused()
    {
        using var folder = new TemporaryFolder();
        Save(folder.File("a"));
        File.Move(folder.File("a/model.safetensors"), folder.File("a/x"));
        File.Move(folder.File("a/ema.safetensors"), folder.File("a/model.safetensors"));
        File.Move(folder.File("a/x"), folder.File("a/ema.safetensors"));
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);

        FluentActions.Invoking(() => trainer.Resume(folder.File("a")))
            .Should().Throw<CheckpointException>().WithMessage("*model.safetensors: is damaged*");
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("optimizer.safetensors")]
    [InlineData("trainer.json")]
    [InlineData("trainer.json.sha256")]
    [Trait(Category.Name, Category.Fault)]
    public void Files_of_another_checkpoint_are_refused_by_name(string file)
    {
        using var folder = new TemporaryFolder();
        Save(folder.File("a"));
        Save(folder.File("b"), seed: 6);
        File.Copy(folder.File($"b/{file}"), folder.File($"a/{file}"), overwrite: true);
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);

        FluentActions.Invoking(() => trainer.Resume(folder.File("a")))
            .Should().Throw<CheckpointException>().WithMessage($"*a/{file[..7]}*is damaged*");
        trainer.Step.Should().Be(0);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_manifest_that_was_edited_is_refused_even_with_a_checksum_that_fits()
    {
        using var folder = new TemporaryFolder();
        Save(folder.File("step-00000020"));
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);
        var path = folder.File("step-00000020/trainer.json");
        var good = File.ReadAllText(path);
        void Refused(string from, string to, string message, bool fits = true)
        {
            File.WriteAllText(path, good.Replace(from, to, StringComparison.Ordinal));
            if (fits)
                File.WriteAllText($"{path}.sha256", $"{Bits.OfFile(path).ToLowerInvariant()}  trainer.json\n");
            FluentActions.Invoking(() => trainer.Resume(folder.Path)).Should().Throw<CheckpointException>().WithMessage(message);
            trainer.Step.Should().Be(0);
        }

        Refused("\"step\": 20", "\"step\": 21", "*trainer.json: is damaged*", fits: false);
        Refused("\"step\": 20", "\"step\": 21", "*step-00000020: must hold step 20, holds 21.");
        Refused("\"seed\": 5", "\"seed\": 6", "*a seed of 6, this trainer has 5*");
        Refused("\"version\": 2", "\"version\": 3", "*version 1 to 2, got diffusion-core-trainer version 3*");
        Refused("\"name\": \"model", "\"name\": \"../model", "*must list .safetensors files beside it*");
        Refused("\"name\": \"ema.", "\"name\": \"model.", "*model.safetensors: *");
        Refused("AdamW", "Momentum", "*trainer.json: was made with optimizer Momentum, this trainer has AdamW.");
        Refused("\"ema\"", "\"ema\", \"slow\"", "*was made with averages [ema, slow], this trainer has [ema].");
        Refused("UniformTimesteps", "Others", "*was made with timestep sampler Others, this trainer has UniformTimesteps.");
        Refused("\"precision\": \"Full\"", "\"precision\": \"BFloat16\"", "*was made with precision BFloat16, this trainer has Full.");
    }

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
            .Should().Throw<CheckpointException>().WithMessage("*was made with network.options.width 8, this trainer has 16."));
        var before = JsonNode.Parse("""{"network": {"options": {"checkpoint_activations": false, "width": 8}}}""")!.AsObject();
        var now = JsonNode.Parse("""{"network": {"options": {"checkpoint_activations": true, "width": 8}}}""")!.AsObject();
        RunIdentity.Difference(before, now).Should().BeNull();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Only_who_asks_for_it_falls_back_to_the_newest_checkpoint_that_is_whole()
    {
        using var folder = new TemporaryFolder();
        var options = Runs.Options with { CheckpointFolder = folder.Path, CheckpointEvery = 5 };
        using var model = new TinyDenoiser();
        using (var trainer = Runs.Trainer(model, options))
            trainer.Run(new Points(50));
        var whole = Bits.OfFolder(folder.File("step-00000020"));
        File.WriteAllText(folder.File("step-00000020/ema.safetensors"), "?");
        File.Delete(folder.File("step-00000015/optimizer.safetensors"));
        var logger = new ListLogger();
        using var next = Runs.Trainer(model, options, logger: logger);

        FluentActions.Invoking(() => next.Resume(folder.Path))
            .Should().Throw<CheckpointException>().WithMessage("*before it is *step-00000015.");
        next.Resume(folder.Path, fallBack: true);

        next.Step.Should().Be(10);
        logger.Entries.Where(entry => entry.Level == LogLevel.Warning).Select(entry => entry.Text.Split(" Going on from ")[^1])
            .Should().Equal($"the one before it, {folder.File("step-00000015")}.", $"the one before it, {folder.File("step-00000010")}.");
        next.Run(new Points(50));
        Bits.OfFolder(folder.File("step-00000020")).Should().Equal(whole);
        foreach (var path in CheckpointStore.List(folder.Path))
            File.Delete(Path.Combine(path, "model.safetensors"));
        FluentActions.Invoking(() => next.Resume(folder.Path, fallBack: true)).Should().Throw<CheckpointException>();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_damaged_newest_checkpoint_is_an_error_that_offers_the_one_before()
    {
        using var folder = new TemporaryFolder();
        var options = Runs.Options with { CheckpointFolder = folder.Path };
        using var model = new TinyDenoiser();
        using (var trainer = Runs.Trainer(model, options))
            trainer.Run(new Points(50));
        File.WriteAllText(folder.File("step-00000020/ema.safetensors"), "?");
        using var next = Runs.Trainer(model, options);

        FluentActions.Invoking(() => next.Run(new Points(50))).Should().Throw<CheckpointException>()
            .WithMessage($"*{folder.File("step-00000020/ema.safetensors")}*must have * bytes, has 1*before it is {folder.File("step-00000010")}.");

        next.Resume(folder.File("step-00000010"));
        next.Step.Should().Be(10);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Another_model_seed_batch_size_or_schedule_is_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        Save(folder.Path + "/a");
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

        Refused("*trainer.json: was made with a seed of 5, this trainer has 7*", Runs.Options with { Seed = 7 });
        Refused("*trainer.json: was made with a batch size of 8, this trainer has 16*", Runs.Options with { BatchSize = 16 });
        Refused("*model.safetensors: '_first.weight' must be Float32 [17, 3], is Float32 [16, 3]*", width: 17);
        Refused("*another noise schedule: times from 0 to 999, not 0 to 99*", schedule: DiscreteSchedule.Linear(100));
        Refused("*another noise schedule: alpha 0.99995 and sigma 0.01 at time 0, not 0.99997*", schedule: DiscreteSchedule.Cosine());
    }

    [Theory]
    [InlineData(1.0, 1000.0, "*another noise schedule: a network that is told 0.1 at time 0.1, not 100.")]
    [InlineData(1000.0, 1.0, "*another noise schedule: a network that is told 100 at time 0.1, not 0.1.")]
    [InlineData(1000.0, 500.0, "*another noise schedule: a network that is told 100 at time 0.1, not 50.")]
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
        File.ReadAllText(folder.File("a/trainer.json")).Contains("network_times", StringComparison.Ordinal)
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
            .Should().Throw<CheckpointException>().WithMessage("*trainer.json: was made with a size of the data set of 50, this trainer has 51*");
        next.Step.Should().Be(0);
        next.Resume(folder.Path);
        FluentActions.Invoking(() => next.Run(new Points(51)))
            .Should().Throw<ArgumentException>().WithMessage("*data set of 50 samples, this one has 51*");
        next.Step.Should().Be(20);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_folder_that_cannot_be_written_is_refused_when_the_trainer_is_made()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("file"), "in the way");
        using var model = new TinyDenoiser();

        FluentActions.Invoking(() => Runs.Trainer(model, Runs.Options with { CheckpointFolder = folder.File("file/run") }))
            .Should().Throw<CheckpointException>().WithMessage($"*{folder.File("file/run")}: cannot be written to*");

        Runs.Trainer(model).Dispose();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_save_that_fails_leaves_nothing_and_can_be_repeated_elsewhere()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("file"), "in the way");
        Directory.CreateDirectory(folder.File("mine"));
        File.WriteAllText(folder.File("mine/notes.txt"), "dear diary");
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);

        FluentActions.Invoking(() => trainer.Save(folder.File("file/a"))).Should().Throw<CheckpointException>().WithMessage("*cannot be written*");
        FluentActions.Invoking(() => trainer.Save(folder.File("file"))).Should().Throw<CheckpointException>().WithMessage("*cannot be written*");
        FluentActions.Invoking(() => trainer.Save(folder.File("mine"))).Should().Throw<CheckpointException>().WithMessage("*holds other files*");

        Directory.GetFileSystemEntries(folder.Path).Select(Path.GetFileName).Should().BeEquivalentTo("file", "mine");
        File.ReadAllText(folder.File("mine/notes.txt")).Should().Be("dear diary");
        trainer.Save(folder.File("good"));
        trainer.Resume(folder.File("good"));
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Resuming_from_nothing_is_an_error_unless_one_only_tries()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);

        trainer.TryResume(folder.File("absent")).Should().BeFalse();
        trainer.TryResume(folder.Path).Should().BeFalse();
        FluentActions.Invoking(() => trainer.Resume(folder.Path)).Should().Throw<CheckpointException>().WithMessage($"{folder.Path}: there is no checkpoint here.");
        FluentActions.Invoking(() => trainer.Save()).Should().Throw<InvalidOperationException>().WithMessage("*CheckpointFolder is not set*");
    }

    private static void Save(string folder, long seed = 5)
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { Seed = seed });
        trainer.Run(new Points(50));
        trainer.Save(folder);
    }

    /// <summary>Times 0 to 8, a tenth more noise at each.</summary>
    private sealed class Tenths(double scale) : INoiseSchedule
    {
        public double MinTime => 0;

        public double MaxTime => 8;

        public NoiseLevel LevelAt(double t) => new(1.0 - (t / 10), t / 10);

        public double NetworkTime(double t) => scale * t;
    }

    /// <summary>A straight line, of which the network is told the time in a unit of its own.</summary>
    private sealed class Scaled(double scale) : INoiseSchedule
    {
        public double MinTime => 0.1;

        public double MaxTime => 0.9;

        public NoiseLevel LevelAt(double t) => new(1.0 - t, t);

        public double NetworkTime(double t) => scale * t;
    }
}
