using System.Diagnostics;

namespace Diffusion.Core;

public abstract partial class Trainer<TBatch>
{
    /// <summary>
    /// Trains until <see cref="TrainerOptions.Steps"/> steps are done. A trainer at step 0 first resumes from the newest checkpoint in
    /// <see cref="TrainerOptions.CheckpointFolder"/>, if there is one.
    /// </summary>
    /// <param name="dataset">The data; the same in every part of a run.</param>
    /// <param name="progress">
    /// Told every <see cref="TrainerOptions.LogEvery"/> steps and at the end, between steps. <see cref="Progress{T}"/> passes it on to
    /// another thread; to sample in it, implement the interface, or a <see cref="ITrainerCallback"/>.
    /// </param>
    /// <param name="cancellationToken">Ends the run after the step at hand, with a checkpoint if there is a folder for them.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled; its state is saved, and the trainer can go on.</exception>
    /// <exception cref="BatchLoadException">The data set failed; the message names the step and the samples.</exception>
    /// <exception cref="DivergedException">Too many steps in a row were skipped.</exception>
    /// <exception cref="CheckpointException">A checkpoint cannot be resumed from, or written.</exception>
    /// <exception cref="ArgumentException">
    /// The data set is empty or of another size than so far, or a batch of it does not fit the model.
    /// </exception>
    public void Fit(
        IDataset<TBatch> dataset, IProgress<TrainingProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        RequireAlive();
        BeginRun(dataset.Count, nameof(dataset));
        Check(dataset);
        var run = new TrainingRun(this, Options);
        using var logScope = BeginLogScope();
        Exception? error = null;
        var started = 0;
        try
        {
            foreach (var callback in Options.Callbacks)
            {
                started++;
                callback.Started(run);
            }

            Train(dataset, run, progress, cancellationToken);
        }
        catch (Exception e)
        {
            error = e;
            throw;
        }
        finally
        {
            EndCallbacks(run, Options.Callbacks.Take(started), error);
        }
    }

    private void Train(
        IDataset<TBatch> dataset, TrainingRun run, IProgress<TrainingProgress>? progress, CancellationToken cancellationToken)
    {
        using var loader = new BatchLoader<TBatch>(dataset, Options.BatchSize, Options.Seed, Step, Options.Loader, Device);
        var (reportedStep, reportedAt, reportedWait) = (Step, Stopwatch.GetTimestamp(), TimeSpan.Zero);
        while (Step < Options.Steps && run.StopReason is null)
        {
            if (cancellationToken.IsCancellationRequested)
                break;
            foreach (var callback in Options.Callbacks)
                callback.BeforeStep(run);
            using (var batch = Next(loader, cancellationToken))
            {
                if (batch is null)
                    break;
                TrainStep(batch);
            }

            foreach (var callback in Options.Callbacks)
                callback.AfterStep(run);
            var ended = Step == Options.Steps || run.StopReason is not null;
            if (Step % Options.LogEvery == 0 || ended)
            {
                var speed = (Step - reportedStep) * Options.BatchSize / Stopwatch.GetElapsedTime(reportedAt).TotalSeconds;
                Report(run, progress, _learningRate.At(Step - 1), speed, loader.Waited - reportedWait);
                (reportedStep, reportedAt, reportedWait) = (Step, Stopwatch.GetTimestamp(), loader.Waited);
            }

            if (HasStore && (Step % Options.CheckpointEvery == 0 || ended || run.StopReason is not null))
                Save(run);
        }

        EndRun(run, cancellationToken);
    }

    /// <summary>The batch of the step at hand, or none where the run was cancelled while it waited for one.</summary>
    private static TBatch? Next(BatchLoader<TBatch> loader, CancellationToken cancellationToken)
    {
        try
        {
            return loader.Next(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return default;
        }
    }

    /// <summary>Looks at the data set before it is trained on.</summary>
    private protected virtual void Check(IDataset<TBatch> dataset)
    {
    }
}
