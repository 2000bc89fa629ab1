using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using TorchSharp;

namespace Diffusion.Core.Tests;

public class ResumeTests
{
    [Theory]
    [InlineData(0.0, 8)]
    [InlineData(0.2, 8)]
    [InlineData(0.2, 7)]
    [InlineData(0.2, 64)]
    public void A_run_in_two_parts_equals_one_without_a_break_bit_for_bit(double dropout, int batchSize)
    {
        using var folder = new TemporaryFolder();
        // 13 samples: batches wrap around the end of epochs, and the break is in the middle of one.
        var options = Runs.Options with { BatchSize = batchSize, Ema = EmaDecay.WarmUp(0.999) };
        var whole = new Points(13);
        Train(folder.File("whole"), whole, options, dropout, seed: 1);

        var first = new Points(13);
        var second = new Points(13);
        Train(folder.File("half"), first, options with { Steps = 10 }, dropout, seed: 1);
        Scramble();
        Train(folder.File("resumed"), second, options, dropout, seed: 2, from: folder.File("half"));

        Bits.OfFolder(folder.File("resumed")).Should().Equal(Bits.OfFolder(folder.File("whole")));
        first.Loaded.Concat(second.Loaded).Should().BeEquivalentTo(whole.Loaded, order => order.WithStrictOrdering());
        second.Loaded.Should().HaveCount(10);
    }

    [Fact]
    public void Skipped_steps_survive_a_break()
    {
        using var folder = new TemporaryFolder();
        void Part(string to, long steps, string? from)
        {
            using var model = new TinyDenoiser();
            using var trainer = Runs.Trainer(model, Runs.Options with { Steps = steps });
            if (from is not null)
                trainer.Resume(folder.File(from));
            var points = new Points(13);
            var begun = trainer.Step;
            points.Substitute = indices => begun + points.Loaded.Count is 4 or 9 or 10 or 12
                ? torch.full([indices.Length, 2], float.NaN)
                : null;
            trainer.Run(points);
            trainer.Save(folder.File(to));
        }

        Part("whole", 20, null);
        Part("half", 10, null);
        Part("resumed", 20, "half");

        Bits.OfFolder(folder.File("resumed")).Should().Equal(Bits.OfFolder(folder.File("whole")));
        File.ReadAllText(folder.File("half/trainer.json"))
            .Should().Contain("\"skipped_steps\": 3").And.Contain("\"skipped_in_a_row\": 2");
    }

    [Fact]
    public void Fit_resumes_by_itself_from_the_newest_checkpoint()
    {
        using var folder = new TemporaryFolder();
        var options = Runs.Options with { CheckpointFolder = folder.File("run") };
        using (var model = new TinyDenoiser())
        {
            using var trainer = Runs.Trainer(model, options with { Steps = 13 });
            trainer.Run(new Points(50));
        }

        using var resumed = new TinyDenoiser(seed: 9);
        var logger = new ListLogger();
        using var next = Runs.Trainer(resumed, options, logger: logger);
        var points = new Points(50);
        next.Run(points);

        points.Loaded.Should().HaveCount(7);
        logger.Entries[0].Text.Should().Be($"Resumed at step 13 from {folder.File("run/step-00000013")}.");
        CheckpointStore.List(folder.File("run")).Select(Path.GetFileName).Should().Equal("step-00000010", "step-00000013", "step-00000020");
    }

    [Fact]
    public void A_finished_run_has_nothing_more_to_do()
    {
        using var folder = new TemporaryFolder();
        var options = Runs.Options with { CheckpointFolder = folder.Path };
        using var model = new TinyDenoiser();
        using (var trainer = Runs.Trainer(model, options))
            trainer.Run(new Points(50));
        var before = Bits.OfFolder(CheckpointStore.Latest(folder.Path)!);

        using var again = Runs.Trainer(model, options);
        var points = new Points(50);
        again.Run(points);

        points.Loaded.Should().BeEmpty();
        again.Step.Should().Be(20);
        Bits.OfFolder(CheckpointStore.Latest(folder.Path)!).Should().Equal(before);
    }

    [Fact]
    public void A_run_may_go_on_for_longer_and_at_another_rate()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using (var trainer = Runs.Trainer(model, Runs.Options with { CheckpointFolder = folder.Path }))
            trainer.Run(new Points(50));

        using var longer = Runs.Trainer(
            model, Runs.Options with { CheckpointFolder = folder.Path, Steps = 30, LearningRate = 1e-3, MaxGradNorm = null });
        longer.Run(new Points(50));

        longer.Step.Should().Be(30);
    }

    [Fact]
    public void Cancelling_ends_after_the_step_at_hand_with_its_state_saved()
    {
        using var folder = new TemporaryFolder();
        using var cancellation = new CancellationTokenSource();
        var options = Runs.Options with { CheckpointFolder = folder.Path };
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, options);
        var points = new Points(50) { Loading = loaded => { if (loaded == 6) cancellation.Cancel(); } };

        FluentActions.Invoking(() => trainer.Fit(points, null, cancellation.Token))
            .Should().Throw<OperationCanceledException>().Which.CancellationToken.Should().Be(cancellation.Token);

        trainer.Step.Should().Be(7);
        CheckpointStore.Latest(folder.Path).Should().Be(folder.File("step-00000007"));
        trainer.Run(new Points(50));
        using var whole = new TinyDenoiser();
        using var unbroken = Runs.Trainer(whole);
        unbroken.Run(new Points(50));
        Bits.Of(model.get_parameter("_first.weight")!).Should().Be(Bits.Of(whole.get_parameter("_first.weight")!));
    }

    [Fact]
    public void Cancelling_without_a_folder_leaves_the_trainer_able_to_go_on()
    {
        using var cancellation = new CancellationTokenSource();
        cancellation.Cancel();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);

        FluentActions.Invoking(() => trainer.Fit(new Points(50), null, cancellation.Token)).Should().Throw<OperationCanceledException>();

        trainer.Step.Should().Be(0);
        trainer.Run(new Points(50));
        trainer.Step.Should().Be(20);
    }

    [Fact]
    public void Cancelling_in_the_last_step_is_too_late()
    {
        using var cancellation = new CancellationTokenSource();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);

        trainer.Fit(new Points(50) { Loading = loaded => { if (loaded == 19) cancellation.Cancel(); } }, null, cancellation.Token);

        trainer.Step.Should().Be(20);
    }

    [Theory]
    [InlineData("model.safetensors", false)]
    [InlineData("ema.safetensors", true)]
    public void Weights_and_averaged_weights_load_into_a_network_with_one_call(string file, bool averaged)
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);
        trainer.Run(new Points(50));
        trainer.Save(folder.File("checkpoint"));

        using var other = new TinyDenoiser(seed: 3);
        ModuleWeights.Load(other, Path.Combine(folder.File("checkpoint"), file));

        using var scope = averaged ? trainer.Ema.BeginInference() : null;
        foreach (var (name, tensor) in model.state_dict())
            Bits.Of(other.state_dict()[name]).Should().Be(Bits.Of(tensor), name);
    }

    [Fact]
    public void Saving_and_resuming_leave_no_tensors_behind()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model);
        trainer.Run(new Points(50));
        LiveTensors.Change(() =>
        {
            trainer.Save(folder.File("checkpoint"));
            trainer.Resume(folder.File("checkpoint"));
        }).Should().Be(0);
    }

    private static void Train(string to, Points points, TrainerOptions options, double dropout, long seed, string? from = null)
    {
        using var model = new TinyDenoiser(seed, dropout: dropout);
        using var trainer = Runs.Trainer(model, options);
        if (from is not null)
            trainer.Resume(from);
        trainer.Run(points);
        trainer.Save(to);
    }

    /// <summary>Leaves the process in another state than it was: the default generator has moved on.</summary>
    private static void Scramble() => torch.rand(17).Dispose();
}
