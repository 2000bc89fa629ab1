using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

public class CallbackTests
{
    [Fact]
    public void Callbacks_are_called_in_order_around_steps_reports_and_checkpoints()
    {
        using var folder = new TemporaryFolder();
        var calls = Run(new RecordingCallback(), Runs.Options with { Steps = 3, LogEvery = 2, CheckpointEvery = 2, CheckpointFolder = folder.Path });

        calls.Should().Equal(
            "started 0",
            "before 0", "after 1",
            "before 1", "after 2", "reported 2", "saved 2",
            "before 2", "after 3", "reported 3", "saved 3",
            "ended well 3");
    }

    [Fact]
    public void Several_callbacks_are_called_in_the_order_of_the_list()
    {
        var calls = new List<string>();
        var options = Runs.Options with { Steps = 1, Callbacks = [new RecordingCallback("a ", calls), new RecordingCallback("b ", calls)] };
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, options);

        trainer.Run(new Points(50));

        calls.Should().Equal(
            "a started 0", "b started 0", "a before 0", "b before 0", "a after 1", "b after 1", "a reported 1", "b reported 1",
            "a ended well 1", "b ended well 1");
    }

    [Fact]
    public void What_one_callback_measures_or_shows_all_are_told_before_the_report_of_that_step()
    {
        using var folder = new TemporaryFolder();
        var picture = folder.File("x.png");
        File.WriteAllBytes(picture, [1]);
        var recorder = new RecordingCallback();
        recorder.Acting = run =>
        {
            run.LogMetric("score", 0.5);
            run.LogImage("samples", picture);
        };
        var calls = Run(recorder, Runs.Options with { Steps = 1 });

        calls.Should().Equal("started 0", "before 0", "after 1", "measured score=0.5 1", "pictured samples 1", "reported 1", "ended well 1");
    }

    [Fact]
    public void A_picture_that_is_not_there_cannot_be_shown()
    {
        using var folder = new TemporaryFolder();
        var recorder = new RecordingCallback { Acting = run => run.LogImage("samples", folder.File("none.png")) };

        FluentActions.Invoking(() => Run(recorder, Runs.Options))
            .Should().Throw<TrainerCallbackException>().WithInnerException<FileNotFoundException>().WithMessage("*none.png*");
        recorder.Calls[^1].Should().Be("ended TrainerCallbackException 1");
    }

    [Fact]
    public void A_callback_can_stop_the_run_which_reports_saves_and_ends_well()
    {
        using var folder = new TemporaryFolder();
        var recorder = new RecordingCallback { Acting = run => run.Stop("enough") };
        var calls = Run(recorder, Runs.Options with { CheckpointFolder = folder.Path });

        calls.Should().Equal("started 0", "before 0", "after 1", "reported 1", "saved 1", "ended well 1");
    }

    [Fact]
    public void A_callback_is_told_what_ended_the_run()
    {
        using var model = new TinyDenoiser();
        var recorder = new RecordingCallback();
        using var trainer = Runs.Trainer(model, Runs.Options with { Callbacks = [recorder] });
        using var cancelled = new CancellationTokenSource();
        recorder.Acting = run => cancelled.Cancel();

        FluentActions.Invoking(() => trainer.Fit(new Points(50), null, cancelled.Token)).Should().Throw<OperationCanceledException>();
        recorder.Calls.Should().Equal("started 0", "before 0", "after 1", "ended OperationCanceledException 1");

        recorder.Acting = _ => throw new InvalidDataException("no");
        FluentActions.Invoking(() => trainer.Run(new Points(50)))
            .Should().Throw<TrainerCallbackException>().WithInnerException<InvalidDataException>();
        recorder.Calls[^1].Should().Be("ended TrainerCallbackException 2");
    }

    /// <summary>The exception of a cancelled run says that its state is saved.</summary>
    [Fact]
    public void A_cancelled_run_whose_save_fails_ends_with_that_exception_for_callbacks_too()
    {
        using var folder = new TemporaryFolder();
        using var cancelled = new CancellationTokenSource();
        var recorder = new RecordingCallback { Acting = _ => cancelled.Cancel() };
        var options = Runs.Options with { CheckpointFolder = folder.Path, Callbacks = [recorder, new FailingSaved()] };

        FluentActions.Invoking(() => Fit(options, cancelled.Token))
            .Should().Throw<TrainerCallbackException>().WithMessage("*FailingSaved*Saved*");

        recorder.Calls.Should().EndWith(["saved 1", "ended TrainerCallbackException 1"]);
    }

    [Fact]
    public void A_callback_that_fails_in_the_end_neither_hides_what_ended_the_run_nor_keeps_others_from_ending()
    {
        var calls = new List<string>();
        var options = Runs.Options with { Steps = 1 };
        TrainerCallback[] callbacks = [new Failing(), new RecordingCallback("", calls), new Failing()];

        FluentActions.Invoking(() => Fit(options with { Callbacks = callbacks }))
            .Should().Throw<TrainerCallbackException>().WithMessage("*in the end*").WithInnerException<IOException>();
        calls[^1].Should().Be("ended TrainerCallbackException 1");

        var action = Every.Steps(1, _ => throw new InvalidDataException("on the way"));
        FluentActions.Invoking(() => Fit(options with { Callbacks = [.. callbacks, action] }))
            .Should().Throw<TrainerCallbackException>().WithMessage("*on the way*").WithInnerException<InvalidDataException>();
        calls[^1].Should().Be("ended TrainerCallbackException 1");
    }

    [Fact]
    public void Only_callbacks_that_were_started_are_ended()
    {
        var calls = new List<string>();
        TrainerCallback[] callbacks = [new RecordingCallback("a ", calls), new Failing { FailsAtStart = true }, new RecordingCallback("b ", calls)];

        FluentActions.Invoking(() => Fit(Runs.Options with { Callbacks = callbacks }))
            .Should().Throw<TrainerCallbackException>().WithMessage("Failing.Started failed at step 0: at the start");
        calls.Should().Equal("a started 0", "a ended TrainerCallbackException 0");
    }

    [Fact]
    public void A_callback_that_fails_ends_the_run_after_the_others_were_called_and_the_run_was_saved()
    {
        using var folder = new TemporaryFolder();
        var calls = new List<string>();
        var options = Runs.Options with { Steps = 8, CheckpointFolder = folder.Path };
        var failing = new FailingAt(5);
        var logger = new ListLogger();
        using (var model = new TinyDenoiser())
        using (var trainer = Runs.Trainer(model, options with { Callbacks = [failing, new RecordingCallback("", calls)] }, logger: logger))
        {
            var error = FluentActions.Invoking(() => trainer.Run(new Points(50))).Should().Throw<TrainerCallbackException>().Which;

            error.Message.Should().Be("FailingAt.AfterStep failed at step 5: no more");
            error.Callback.Should().BeSameAs(failing);
            error.Step.Should().Be(5);
            calls[^3..].Should().Equal("after 5", "saved 5", "ended TrainerCallbackException 5");
            logger.Entries.Should().ContainSingle(entry => entry.Text == "The callback FailingAt failed in AfterStep at step 5.");
        }

        CheckpointStore.List(folder.Path).Select(Path.GetFileName).Should().Equal("step-00000005");
        using var resumed = new TinyDenoiser();
        using var rest = Runs.Trainer(resumed, options);
        rest.Run(new Points(50));
        using var whole = new TinyDenoiser();
        using var once = Runs.Trainer(whole, Runs.Options with { Steps = 8 });
        once.Run(new Points(50));
        rest.Save(folder.File("rest"));
        once.Save(folder.File("once"));
        foreach (var file in (string[])["model.safetensors", "ema.safetensors", "optimizer.safetensors"])
            Bits.OfFile(folder.File($"rest/{file}")).Should().Be(Bits.OfFile(folder.File($"once/{file}")), file);
    }

    [Fact]
    public void Progress_that_fails_ends_the_run_after_saving_and_is_named()
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { Steps = 4, LogEvery = 3, CheckpointFolder = folder.Path });

        FluentActions.Invoking(() => trainer.Fit(new Points(50), new FailingProgress(), TestContext.Current.CancellationToken))
            .Should().Throw<TrainerCallbackException>().WithMessage("FailingProgress.Report failed at step 3: no display");
        CheckpointStore.List(folder.Path).Select(Path.GetFileName).Should().Equal("step-00000003");
    }

    [Fact]
    public void Every_n_steps_is_at_multiples_of_n_and_once_at_the_end()
    {
        var acted = new List<long>();
        var ended = new List<long>();
        Fit(Runs.Options with
        {
            Steps = 10,
            Callbacks = [Every.Steps(4, run => acted.Add(run.Step)), Every.StepsAndEnd(5, run => ended.Add(run.Step)), Every.StepsAndEnd(3, run => ended.Add(-run.Step))],
        });

        acted.Should().Equal(4, 8);
        ended.Should().Equal(-3, 5, -6, -9, 10, -10);
    }

    [Fact]
    public void A_run_that_was_stopped_and_resumed_acts_at_the_steps_of_one_that_was_not()
    {
        using var folder = new TemporaryFolder();
        var acted = new List<long>();
        var action = Every.StepsAndEnd(4, run => acted.Add(run.Step));
        var options = Runs.Options with { Steps = 14, CheckpointFolder = folder.Path, Callbacks = [action] };
        using var source = new CancellationTokenSource();
        var stop = Every.Steps(6, _ => source.Cancel());

        FluentActions.Invoking(() => Fit(options with { Callbacks = [action, stop] }, source.Token)).Should().Throw<OperationCanceledException>();
        Fit(options);
        Fit(options);

        acted.Should().Equal(4, 8, 12, 14);
    }

    [Fact]
    public void An_action_every_0_steps_is_refused()
        => FluentActions.Invoking(() => Every.Steps(0, _ => { })).Should().Throw<ArgumentOutOfRangeException>().WithParameterName("steps");

    private static List<string> Run(RecordingCallback recorder, TrainerOptions options)
    {
        Fit(options with { Callbacks = [recorder] });
        return recorder.Calls;
    }

    private static void Fit(TrainerOptions options, CancellationToken? cancellationToken = null)
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, options);
        trainer.Fit(new Points(50), null, cancellationToken ?? TestContext.Current.CancellationToken);
    }

    private sealed class Failing : TrainerCallback
    {
        public bool FailsAtStart { get; init; }

        public override void Started(TrainingRun run)
        {
            if (FailsAtStart)
                throw new IOException("at the start");
        }

        public override void Ended(TrainingRun run, Exception? error) => throw new IOException("in the end");
    }

    private sealed class FailingSaved : TrainerCallback
    {
        public override void Saved(TrainingRun run, string path) => throw new IOException("no copy");
    }

    private sealed class FailingAt(long step) : TrainerCallback
    {
        public override void AfterStep(TrainingRun run)
        {
            if (run.Step == step)
                throw new InvalidOperationException("no more");
        }
    }

    private sealed class FailingProgress : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => throw new IOException("no display");
    }
}
