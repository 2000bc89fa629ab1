using System.Collections;
using System.Diagnostics;
using System.Globalization;

namespace Diffusion.Core;

/// <summary>Reports the progress of a run to the log, the callbacks and the caller of <c>Fit</c>, and ends a run that diverged.</summary>
internal sealed class ProgressReporter
{
    private readonly TrainingRun _run;
    private readonly IProgress<TrainingProgress>? _progress;
    private long _step;
    private long _time;
    private long _skipped;
    private TimeSpan _waited;

    public ProgressReporter(TrainingRun run, IProgress<TrainingProgress>? progress)
    {
        (_run, _progress) = (run, progress);
        (_step, _time, _skipped) = (run.Step, Stopwatch.GetTimestamp(), State.OptimizerStep.Skipped);
    }

    private TrainingState State => _run.Trainer.State;

    /// <summary>Reports the steps since the last call.</summary>
    /// <param name="learningRate">The rate of the last step.</param>
    /// <param name="waited">The total time for which the run has waited for batches.</param>
    /// <exception cref="DivergedException">Too many steps in a row were skipped.</exception>
    /// <exception cref="TrainerCallbackException">A callback or the <see cref="IProgress{T}"/> failed.</exception>
    public void Report(double learningRate, TimeSpan waited)
    {
        var (optimizer, options, logger) = (State.OptimizerStep, _run.Options, _run.Trainer.Log);
        var speed = (State.Step - _step) * options.BatchSize / Stopwatch.GetElapsedTime(_time).TotalSeconds;
        var skipped = optimizer.Skipped;
        var (loss, metrics) = optimizer.TakeMeans();
        var report = new TrainingProgress
        {
            Step = State.Step,
            TotalSteps = options.Steps,
            Epoch = State.Epoch,
            Loss = loss,
            LearningRate = learningRate,
            GradientNorm = optimizer.GradientNorm,
            SamplesPerSecond = speed,
            SkippedSteps = skipped,
            Metrics = metrics,
            DataWait = waited - _waited,
        };
        TrainerLog.Progress(logger, report.Step, report.TotalSteps, loss, learningRate, report.GradientNorm, speed);
        if (skipped > _skipped)
            TrainerLog.Skipped(logger, skipped - _skipped, skipped, report.Step);
        _run.Trainer.RecordMetric(Trainer.LossMetric, loss);
        Pass(report);
        _run.Callbacks.Reported(report);
        if (optimizer.SkippedInARow >= options.MaxSkippedInARow)
            throw DivergedException.Of(State, logger);
        (_step, _time, _waited, _skipped) = (State.Step, Stopwatch.GetTimestamp(), waited, skipped);
    }

    /// <summary>Begins a log scope with the current step and epoch.</summary>
    public static IDisposable? BeginScope(TrainingRun run) => run.Trainer.Log.BeginScope(new LogScope(run.Trainer.State));

    private void Pass(TrainingProgress report)
    {
        try
        {
            _progress?.Report(report);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw new TrainerCallbackException(_progress!, nameof(IProgress<>.Report), report.Step, e);
        }
    }

    private sealed class LogScope(TrainingState state) : IReadOnlyList<KeyValuePair<string, object>>
    {
        public int Count => 2;

        public KeyValuePair<string, object> this[int index] => index switch
        {
            0 => new("Step", state.Step),
            1 => new("Epoch", state.Epoch),
            _ => throw new ArgumentOutOfRangeException(nameof(index)),
        };

        public IEnumerator<KeyValuePair<string, object>> GetEnumerator()
        {
            for (var i = 0; i < Count; i++)
                yield return this[i];
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

        public override string ToString()
            => string.Create(CultureInfo.InvariantCulture, $"step {state.Step}, epoch {state.Epoch:F2}");
    }
}
