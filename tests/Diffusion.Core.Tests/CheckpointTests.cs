using System.Text;
using System.Text.Json.Nodes;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

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
        Runs.SaveAfterRun(folder.File("a"));

        Directory.GetFiles(folder.File("a")).Select(Path.GetFileName).Should().BeEquivalentTo(
            "model.json", "model.safetensors", "ema.safetensors", "optimizer.safetensors", "trainer.json", "trainer.json.sha256");
        var manifest = JsonNode.Parse(File.ReadAllText(folder.File("a/trainer.json")))!;
        ((int)manifest["step"]!).Should().Be(20);
        ((int)manifest["seed"]!).Should().Be(5);
        ((int)manifest["batch_size"]!).Should().Be(8);
        ((int)manifest["dataset_count"]!).Should().Be(50);
        manifest["files"]!.AsArray().Select(file => (long)file!["size"]!).Should().Equal(
            new FileInfo(folder.File("a/model.safetensors")).Length,
            new FileInfo(folder.File("a/ema.safetensors")).Length,
            new FileInfo(folder.File("a/optimizer.safetensors")).Length,
            new FileInfo(folder.File("a/model.json")).Length);
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
            .Should().Be("a model timestep of 1 at time 1, not 2", "what no file of then names is the time itself");
    }

    [Fact]
    public void Saving_again_replaces_a_checkpoint()
    {
        using var folder = new TemporaryFolder();
        Runs.SaveAfterRun(folder.File("a"));
        var before = Bits.OfFolder(folder.File("a"));

        Runs.SaveAfterRun(folder.File("a"), seed: 6);

        Bits.OfFolder(folder.File("a")).Should().NotEqual(before).And.HaveCount(6);
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

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_folder_that_cannot_be_written_is_refused_before_the_first_step()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("file"), "in the way");
        using var model = new TinyDenoiser();

        using var trainer = Runs.Trainer(model, Runs.Options with { CheckpointFolder = folder.File("file/run") });

        FluentActions.Invoking(() => trainer.Run(new Points(50)))
            .Should().Throw<CheckpointException>().WithMessage($"*{folder.File("file/run")}: cannot be written to*");

        trainer.Step.Should().Be(0);
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
}
