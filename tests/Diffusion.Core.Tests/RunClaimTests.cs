using System.Globalization;
using Diffusion.Core.FaultHost;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

/// <summary>Who may write to the folder of a run, and who may read it.</summary>
[Trait(Category.Name, Category.Fault)]
public class RunClaimTests
{
    [Fact]
    public void A_constructor_writes_nothing_and_removes_nothing()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using (Runs.Trainer(model, Options(folder.File("new"))))
            Directory.Exists(folder.File("new")).Should().BeFalse();

        // What another process is writing at this moment.
        Directory.CreateDirectory(folder.File("run/.step-00000004.partial"));
        File.WriteAllText(folder.File("run/.step-00000004.partial/model.safetensors"), "half of it");
        File.WriteAllText(folder.File("run/.latest.1.tmp"), "");
        var before = Entries(folder.Path);
        using (var trainer = Runs.Trainer(model, Options(folder.File("run"))))
        {
            trainer.TryResume(folder.File("run")).Should().BeFalse();
            trainer.TryResume(folder.File("run/step-00000004")).Should().BeFalse();
        }

        Entries(folder.Path).Should().Equal(before);
    }

    [Fact]
    public void A_second_trainer_of_a_folder_is_refused_while_the_first_trains()
    {
        using var folder = new TemporaryFolder();
        using var first = new TinyDenoiser();
        using var second = new TinyDenoiser();
        var refused = 0;
        var copied = 0;
        var callback = new Acting(() =>
        {
            using var trainer = Runs.Trainer(second, Options(folder.Path));
            foreach (var write in (Action[])[() => trainer.Run(new Points(50)), () => trainer.Save()])
            {
                var error = write.Should().Throw<RunInUseException>().Which;
                error.Folder.Should().Be(folder.Path);
                error.Message.Should().Contain(string.Create(CultureInfo.InvariantCulture, $"process {Environment.ProcessId} on "));
                refused++;
            }

            foreach (var file in Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories))
                copied += File.ReadAllBytes(file).Length;
        });
        using (var trainer = Runs.Trainer(first, Options(folder.Path) with { Callbacks = [callback] }))
            trainer.Run(new Points(50));

        refused.Should().Be(2 * 20);
        copied.Should().BePositive();
        using (var trainer = Runs.Trainer(second, Options(folder.Path) with { Steps = 21 }))
        {
            trainer.Run(new Points(50));
            trainer.Step.Should().Be(21, "the first has released the folder");
        }

        File.Exists(folder.File("run.owner")).Should().BeFalse();
    }

    [Fact]
    public void The_folder_of_a_killed_process_is_free_again()
    {
        using var folder = new TemporaryFolder();
        using var host = new HostProcess(folder.File("run"), "100000", "stuck");
        host.AwaitSteps(1);
        using var run = new HostRun(folder.File("run"), 4);
        var before = Entries(folder.Path);

        FluentActions.Invoking(() => run.Trainer.Run(HostRun.Data)).Should().Throw<RunInUseException>()
            .Which.Owner.Should().MatchRegex("^process [0-9]+ on .+ since .+ UTC$");
        Entries(folder.Path).Should().Equal(before);

        host.Kill();
        host.WaitForExit();
        run.Trainer.Run(HostRun.Data);
        run.Trainer.Step.Should().Be(4);
    }

    [Fact]
    public void The_folder_is_free_after_a_run_that_failed()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        var callback = new Acting(() => throw new InvalidOperationException("no"));
        using (var trainer = Runs.Trainer(model, Options(folder.Path) with { Callbacks = [callback] }))
            FluentActions.Invoking(() => trainer.Run(new Points(50))).Should().Throw<TrainerCallbackException>();

        using var next = Runs.Trainer(model, Options(folder.Path));
        next.Run(new Points(50));
        next.Step.Should().Be(20);
    }

    [Fact]
    public async Task A_run_in_progress_can_be_read_at_any_moment()
    {
        using var folder = new TemporaryFolder();
        using var trained = new TinyDenoiser();
        using var trainer = Runs.Trainer(trained, Options(folder.Path) with { Steps = 60, CheckpointEvery = 1, KeepCheckpoints = 1 });
        trainer.Save();
        var training = Task.Run(() => trainer.Run(new Points(50)), TestContext.Current.CancellationToken);
        var reads = 0;
        using var loaded = new TinyDenoiser();
        while (!training.IsCompleted || reads == 0)
        {
            using var reader = Runs.Trainer(loaded, Options(folder.Path));
            reader.TryResume(folder.Path).Should().BeTrue();
            CheckpointStore.Latest(folder.Path).Should().NotBeNull();
            using var model = DiffusionModel.Load(folder.Path, loaded);
            reads++;
        }

        await training;
        trainer.Step.Should().Be(60);
    }

    [Fact]
    public void A_checkpoint_that_is_being_replaced_is_read_where_it_is()
    {
        using var folder = new TemporaryFolder();
        Runs.SaveAfterRun(folder.File("run/step-00000020"));
        Runs.SaveAfterRun(folder.File("single"));
        Directory.Move(folder.File("run/step-00000020"), folder.File("run/.step-00000020.replaced"));
        Directory.Move(folder.File("single"), folder.File(".single.replaced"));
        var before = Entries(folder.Path);

        foreach (var name in (string[])["run", "run/step-00000020", "single"])
        {
            using var model = new TinyDenoiser();
            using var trainer = Runs.Trainer(model);
            trainer.Resume(folder.File(name));
            trainer.Step.Should().Be(20, name);
        }

        CheckpointStore.Latest(folder.File("run")).Should().NotBeNull();
        Entries(folder.Path).Should().Equal(before);
        using (var model = new TinyDenoiser())
        using (var trainer = Runs.Trainer(model, Options(folder.File("run")) with { Steps = 21 }))
            trainer.Run(new Points(50));
        CheckpointStore.List(folder.File("run")).Select(Path.GetFileName).Should().Equal("step-00000020", "step-00000021");
    }

    private static TrainerOptions Options(string folder) => Runs.Options with { CheckpointFolder = folder };

    private static string[] Entries(string folder)
        => [.. Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];

    private sealed class Acting(Action action) : TrainerCallback
    {
        public override void AfterStep(TrainingRun run) => action();
    }
}
