using System.Collections;
using System.Globalization;
using System.Runtime.ExceptionServices;
using Diffusion.Core.Models;

namespace Diffusion.Core;

public abstract partial class Trainer
{
    /// <summary>The name of the mean training loss among the metrics.</summary>
    private const string LossMetric = "loss";

    private readonly SortedDictionary<string, RecordedMetric> _metrics = new(StringComparer.Ordinal);
    private long _reportedSkips;

    /// <summary>
    /// The newest value of each metric: <c>loss</c>, the mean loss of the last report, what callbacks measured, and those of
    /// <see cref="RecordMetric"/>. They are in each checkpoint.
    /// </summary>
    public IReadOnlyDictionary<string, RecordedMetric> Metrics => _metrics;

    /// <summary>Notes a number about the weights of this step, such as a validation loss, by which checkpoints can be kept.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="value">Its value; NaN counts as the worst.</param>
    public void RecordMetric(string name, double value)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        _metrics[name] = new RecordedMetric(value, Step);
    }

    private protected bool HasStore => _store is not null;

    /// <summary>How often the data was seen; 0 before any.</summary>
    internal double Epoch => _datasetCount is { } count ? (double)Step * Options.BatchSize / count : 0.0;

    /// <summary>Resumes if there is something to resume from, and makes sure that the data goes on.</summary>
    private protected void BeginRun(long count, string dataset)
    {
        if (count < 1)
            throw new ArgumentException($"A data set must have at least one sample, got {count}.", dataset);
        if (Step == 0 && _store is not null && Resume(_store.Folder, count, fallBack: false))
            _savedStep = Step;
        if (_datasetCount is { } before && before != count)
            throw new ArgumentException(
                $"The run so far had a data set of {before} samples, this one has {count}: the order of the data would not go on.",
                dataset);
        _datasetCount = count;
        Engine.Parameters.EnsureAttached();
        LogStart(Logger, Step, Options.Steps, count);
    }

    /// <summary>Ends a run: done, stopped by a callback, or cancelled, with its state saved.</summary>
    private protected void EndRun(TrainingRun run, CancellationToken cancellationToken)
    {
        if (run.StopReason is not null)
            LogStopped(Logger, Step, Options.Steps, run.StopReason);
        if (Step >= Options.Steps || run.StopReason is not null)
            return;
        var path = _store is null || _savedStep == Step ? null : Save(run);
        LogCancelled(Logger, Step, Options.Steps, path ?? "none");
        cancellationToken.ThrowIfCancellationRequested();
    }

    private protected string Save(TrainingRun run)
    {
        if (_savedStep == Step)
            return CheckpointStore.Latest(_store!.Folder)!;
        var path = Save();
        foreach (var callback in Options.Callbacks)
            callback.Saved(run, path);
        return path;
    }

    private protected void Report(
        TrainingRun run, IProgress<TrainingProgress>? progress, double learningRate, double samplesPerSecond, TimeSpan dataWait)
    {
        var skipped = Engine.Skipped;
        var report = new TrainingProgress(
            Step, Options.Steps, Epoch, Engine.TakeMeanLoss(), learningRate, Engine.GradientNorm, samplesPerSecond, skipped)
        {
            Metrics = Engine.Means.Take(),
            DataWait = dataWait,
        };
        LogProgress(Logger, Step, Options.Steps, report.Loss, report.LearningRate, report.GradientNorm, samplesPerSecond);
        if (skipped > _reportedSkips)
            LogSkipped(Logger, skipped - _reportedSkips, skipped, Step);
        _reportedSkips = skipped;
        RecordMetric(LossMetric, report.Loss);
        progress?.Report(report);
        foreach (var callback in Options.Callbacks)
            callback.Reported(run, report);
        RequireConvergence();
    }

    /// <summary>Tells every callback that the run has ended. What goes wrong there does not hide what ended the run.</summary>
    private protected void EndCallbacks(TrainingRun run, IEnumerable<ITrainerCallback> started, Exception? error)
    {
        ExceptionDispatchInfo? failure = null;
        foreach (var callback in started)
        {
            try
            {
                callback.Ended(run, error);
            }
            catch (Exception e)
            {
                LogNotEnded(Logger, e, callback.GetType().Name);
                if (error is null)
                    (error, failure) = (e, ExceptionDispatchInfo.Capture(e));
            }
        }

        failure?.Throw();
    }

    /// <summary>Takes up what was measured, and tells everyone.</summary>
    internal void Measured(TrainingRun run, string name, double value)
    {
        RecordMetric(name, value);
        LogMeasured(Logger, Step, name, value);
        foreach (var callback in Options.Callbacks)
            callback.Measured(run, name, value);
    }

    /// <summary>Puts the network in evaluation mode until the result is disposed.</summary>
    internal EvaluationMode UseTrained() => new(_module);

    /// <summary>The type of the weights that are kept.</summary>
    internal TorchSharp.torch.ScalarType WeightType => Engine.Parameters.Dtype;

    /// <summary>The number of weights that are trained.</summary>
    internal long ParameterCount => Engine.Parameters.Slices.Sum(slice => slice.Count);

    /// <summary>A log scope that always tells the step and the epoch of the moment.</summary>
    private protected IDisposable? BeginLogScope() => Logger.BeginScope(new LogScope(this));

    private sealed class LogScope(Trainer trainer) : IReadOnlyList<KeyValuePair<string, object>>
    {
        public int Count => 2;

        public KeyValuePair<string, object> this[int index] => index switch
        {
            0 => new("Step", trainer.Step),
            1 => new("Epoch", trainer.Epoch),
            _ => throw new ArgumentOutOfRangeException(nameof(index)),
        };

        public IEnumerator<KeyValuePair<string, object>> GetEnumerator()
        {
            for (var i = 0; i < Count; i++)
                yield return this[i];
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

        public override string ToString()
            => string.Create(CultureInfo.InvariantCulture, $"step {trainer.Step}, epoch {trainer.Epoch:F2}");
    }
}
