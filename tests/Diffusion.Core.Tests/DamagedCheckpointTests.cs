using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Tests;

public class DamagedCheckpointTests
{
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
        Runs.SaveAfterRun(folder.File("good"));
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
        Runs.SaveAfterRun(folder.File("a"));
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
        Runs.SaveAfterRun(folder.File("a"));
        Runs.SaveAfterRun(folder.File("b"), seed: 6);
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
        Runs.SaveAfterRun(folder.File("step-00000020"));
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
        Refused("\"step\": 20", "\"step\": 21", "*step-00000020: must contain step 20, contains 21.");
        Refused("\"seed\": 5", "\"seed\": 6", "*a seed of 6, this trainer has 5*");
        Refused("\"version\": 2", "\"version\": 3", "*version 1 to 2, got diffusion-core-trainer version 3*");
        Refused("\"name\": \"model", "\"name\": \"../model", "*must list .safetensors files of its folder*");
        Refused("\"name\": \"ema.", "\"name\": \"model.", "*model.safetensors: *");
        Refused("AdamW", "Momentum", "*trainer.json: was saved with optimizer Momentum, this trainer has AdamW.");
        Refused("\"ema\"", "\"ema\", \"slow\"", "*was saved with averages [ema, slow], this trainer has [ema].");
        Refused("UniformTimesteps", "Others", "*was saved with timestep sampler Others, this trainer has UniformTimesteps.");
        Refused("\"precision\": \"Full\"", "\"precision\": \"BFloat16\"", "*was saved with precision BFloat16, this trainer has Full.");
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
        next.Resume(folder.Path, new ResumeOptions { FallBack = true });

        next.Step.Should().Be(10);
        logger.Entries.Where(entry => entry.Level == LogLevel.Warning).Select(entry => entry.Text.Split(" Continuing from ")[^1])
            .Should().Equal($"the checkpoint before it, {folder.File("step-00000015")}.", $"the checkpoint before it, {folder.File("step-00000010")}.");
        next.Run(new Points(50));
        Bits.OfFolder(folder.File("step-00000020")).Should().Equal(whole);
        foreach (var path in CheckpointStore.List(folder.Path))
            File.Delete(Path.Combine(path, "model.safetensors"));
        FluentActions.Invoking(() => next.Resume(folder.Path, new ResumeOptions { FallBack = true })).Should().Throw<CheckpointException>();
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
}
