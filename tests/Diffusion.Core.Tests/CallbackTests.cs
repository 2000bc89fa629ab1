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
            run.Measure("score", 0.5);
            run.Show("samples", picture);
        };
        var calls = Run(recorder, Runs.Options with { Steps = 1 });

        calls.Should().Equal("started 0", "before 0", "after 1", "measured score=0.5 1", "pictured samples 1", "reported 1", "ended well 1");
    }

    [Fact]
    public void A_picture_that_is_not_there_cannot_be_shown()
    {
        using var folder = new TemporaryFolder();
        var recorder = new RecordingCallback { Acting = run => run.Show("samples", folder.File("none.png")) };

        FluentActions.Invoking(() => Run(recorder, Runs.Options)).Should().Throw<FileNotFoundException>().WithMessage("*none.png*");
        recorder.Calls[^1].Should().Be("ended FileNotFoundException 1");
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
        FluentActions.Invoking(() => trainer.Run(new Points(50))).Should().Throw<InvalidDataException>();
        recorder.Calls[^1].Should().Be("ended InvalidDataException 2");
    }

    [Fact]
    public void A_callback_that_fails_in_the_end_neither_hides_what_ended_the_run_nor_keeps_others_from_ending()
    {
        var calls = new List<string>();
        var options = Runs.Options with { Steps = 1 };
        ITrainerCallback[] callbacks = [new Failing(), new RecordingCallback("", calls), new Failing()];

        FluentActions.Invoking(() => Fit(options with { Callbacks = callbacks })).Should().Throw<IOException>().WithMessage("in the end");
        calls[^1].Should().Be("ended IOException 1");

        var action = Every.Steps(1, _ => throw new InvalidDataException("on the way"));
        FluentActions.Invoking(() => Fit(options with { Callbacks = [.. callbacks, action] })).Should().Throw<InvalidDataException>();
        calls[^1].Should().Be("ended InvalidDataException 1");
    }

    [Fact]
    public void Only_callbacks_that_were_started_are_ended()
    {
        var calls = new List<string>();
        ITrainerCallback[] callbacks = [new RecordingCallback("a ", calls), new Failing { FailsAtStart = true }, new RecordingCallback("b ", calls)];

        FluentActions.Invoking(() => Fit(Runs.Options with { Callbacks = callbacks })).Should().Throw<IOException>().WithMessage("at the start");
        calls.Should().Equal("a started 0", "a ended IOException 0");
    }

    [Fact]
    public void Every_n_steps_is_at_multiples_of_n_and_once_at_the_end()
    {
        var acted = new List<long>();
        var ended = new List<long>();
        Fit(Runs.Options with
        {
            Steps = 10,
            Callbacks = [Every.Steps(4, run => acted.Add(run.Step)), Every.Steps(5, run => ended.Add(run.Step), atEnd: true), Every.Steps(3, run => ended.Add(-run.Step), atEnd: true)],
        });

        acted.Should().Equal(4, 8);
        ended.Should().Equal(-3, 5, -6, -9, 10, -10);
    }

    [Fact]
    public void A_run_that_was_stopped_and_resumed_acts_at_the_steps_of_one_that_was_not()
    {
        using var folder = new TemporaryFolder();
        var acted = new List<long>();
        var action = Every.Steps(4, run => acted.Add(run.Step), atEnd: true);
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

    private sealed class Failing : ITrainerCallback
    {
        public bool FailsAtStart { get; init; }

        public void Started(TrainingRun run)
        {
            if (FailsAtStart)
                throw new IOException("at the start");
        }

        public void Ended(TrainingRun run, Exception? error) => throw new IOException("in the end");
    }
}
