using System.Diagnostics;

namespace Diffusion.Core;

public abstract partial class Trainer
{
    /// <summary>
    /// Trains until <see cref="TrainerOptions.Steps"/> steps are done. A trainer at step 0 first resumes from the newest checkpoint in
    /// <see cref="TrainerOptions.CheckpointFolder"/>, if there is one.
    /// </summary>
    /// <param name="dataset">The data; the same in every part of a run.</param>
    /// <param name="progress">
    /// Told every <see cref="TrainerOptions.LogEvery"/> steps and at the end, between steps. <see cref="Progress{T}"/> passes it on to
    /// another thread; to sample in it, implement the interface.
    /// </param>
    /// <param name="cancellationToken">Ends the run after the step at hand, with a checkpoint if there is a folder for them.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled; its state is saved, and the trainer can go on.</exception>
    /// <exception cref="DivergedException">Too many steps in a row were skipped.</exception>
    /// <exception cref="CheckpointException">A checkpoint cannot be resumed from, or written.</exception>
    /// <exception cref="ArgumentException">
    /// The data set is empty or of another size than so far, or a batch of it does not fit the model.
    /// </exception>
    public void Fit(IDataset dataset, IProgress<TrainingProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        ObjectDisposedException.ThrowIf(_disposed, this);
        var count = dataset.Count;
        if (count < 1)
            throw new ArgumentException($"A data set must have at least one sample, got {count}.", nameof(dataset));
        if (Step == 0 && _store is not null && Resume(_store.Folder, count, fallBack: false))
            _savedStep = Step;
        if (_datasetCount is { } before && before != count)
            throw new ArgumentException(
                $"The run so far had a data set of {before} samples, this one has {count}: the order of the data would not go on.",
                nameof(dataset));
        _datasetCount = count;

        var order = new DataOrder(Options.Seed, count, Options.BatchSize);
        var indices = new long[Options.BatchSize];
        var (reportedStep, reportedAt) = (Step, Stopwatch.GetTimestamp());
        LogStart(Logger, Step, Options.Steps, count);
        while (Step < Options.Steps)
        {
            if (cancellationToken.IsCancellationRequested)
                break;
            order.Fill(Step, indices);
            using (var batch = dataset.Load(indices))
                TrainStep(batch);
            var ended = Step == Options.Steps;
            if (Step % Options.LogEvery == 0 || ended)
            {
                Report(order, progress, (Step - reportedStep) * Options.BatchSize / Stopwatch.GetElapsedTime(reportedAt).TotalSeconds);
                (reportedStep, reportedAt) = (Step, Stopwatch.GetTimestamp());
            }

            if (_store is not null && (Step % Options.CheckpointEvery == 0 || ended))
                Save();
        }

        if (Step >= Options.Steps)
            return;
        var path = _store is null || _savedStep == Step ? null : Save();
        LogCancelled(Logger, Step, Options.Steps, path ?? "none");
        cancellationToken.ThrowIfCancellationRequested();
    }

    private void Report(DataOrder order, IProgress<TrainingProgress>? progress, double samplesPerSecond)
    {
        var skipped = Engine.Skipped;
        var report = new TrainingProgress(
            Step,
            Options.Steps,
            (double)Step * Options.BatchSize / _datasetCount!.Value,
            Engine.TakeMeanLoss(),
            _learningRate.At(Step - 1),
            Engine.GradientNorm,
            samplesPerSecond,
            skipped);
        LogProgress(Logger, Step, Options.Steps, report.Loss, report.LearningRate, report.GradientNorm, samplesPerSecond);
        if (skipped > _reportedSkips)
            LogSkipped(Logger, skipped - _reportedSkips, skipped, Step);
        _reportedSkips = skipped;
        RecordMetric("loss", report.Loss);
        progress?.Report(report);
        RequireConvergence(order);
    }
}
