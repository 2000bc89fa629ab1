using System.Runtime.ExceptionServices;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Trains a network: minimises a loss over the batches of a data set, clips gradients, averages the weights, reports progress, and
/// writes checkpoints from which a run continues exactly as if it had not stopped. For a custom loss or custom batches, derive from
/// this class and override <see cref="Evaluate"/>.
/// </summary>
/// <typeparam name="TBatch">The type of the batches of a data set: <see cref="Batch"/>, or a custom type.</typeparam>
public abstract class Trainer<TBatch> : Trainer
    where TBatch : class, IBatch<TBatch>
{
    /// <summary>
    /// The number of times that a step is repeated after the garbage collector freed a number that was passed to an operator.
    /// </summary>
    private const int Repeats = 3;

    /// <summary>The rank of this process. A run has one process, so it is 0.</summary>
    private const long Rank = 0;

    private readonly MicroBatching _microBatching;
    private readonly LearningRateSchedule _learningRate;

    /// <summary>Initializes a trainer at step 0.</summary>
    /// <param name="module">The network, which is moved to <see cref="TrainerOptions.Device"/> if that is set.</param>
    /// <param name="beginInference">
    /// Prepares the network for inference with averaged weights, in addition to evaluation mode, and returns a scope that is disposed
    /// afterwards. <see langword="null"/> if no preparation is needed.
    /// </param>
    /// <param name="options">The options; <see langword="null"/> for a new <see cref="TrainerOptions"/>.</param>
    /// <param name="logger">The logger that receives reports, checkpoints and skipped steps.</param>
    /// <exception cref="ArgumentException">
    /// An option is out of range, the module has no trainable parameters, or its trainable parameters are not floating point or differ
    /// in type or device.
    /// </exception>
    /// <exception cref="InvalidOperationException">The module already belongs to another trainer.</exception>
    protected Trainer(nn.Module module, Func<IDisposable?>? beginInference, TrainerOptions? options, ILogger? logger)
        : base(module, beginInference, options, logger)
        => (_microBatching, _learningRate) = (new MicroBatching(State, Log), Options.EffectiveLearningRate);

    /// <summary>
    /// Trains until <see cref="TrainerOptions.Steps"/> steps are done. A trainer at step 0 first resumes from the newest checkpoint in
    /// <see cref="TrainerOptions.CheckpointFolder"/>, if there is one. The folder belongs to this trainer until the method returns.
    /// </summary>
    /// <param name="dataset">The data set. It must be the same each time a run is continued.</param>
    /// <param name="progress">
    /// Receives a report every <see cref="TrainerOptions.LogEvery"/> steps and at the end, between steps. <see cref="Progress{T}"/>
    /// passes the report to another thread; to sample in a report, implement <see cref="IProgress{T}"/> or use a
    /// <see cref="TrainerCallback"/>. The default is <see langword="null"/>: none.
    /// </param>
    /// <param name="cancellationToken">
    /// Ends the run after the current step. A checkpoint is saved if <see cref="TrainerOptions.CheckpointFolder"/> is set.
    /// </param>
    /// <exception cref="OperationCanceledException">
    /// The run was cancelled. Its state is saved if a checkpoint folder is set, and the trainer can continue.
    /// </exception>
    /// <exception cref="TrainerCallbackException">
    /// A callback failed. The state is saved if a checkpoint folder is set, and the trainer can continue.
    /// </exception>
    /// <exception cref="BatchLoadException">The data set failed. The message contains the step and the samples.</exception>
    /// <exception cref="DivergedException">Too many consecutive steps were skipped.</exception>
    /// <exception cref="CheckpointException">A checkpoint cannot be resumed from, or written.</exception>
    /// <exception cref="RunInUseException">
    /// Another trainer, in this process or another, is writing to <see cref="TrainerOptions.CheckpointFolder"/>.
    /// </exception>
    /// <exception cref="ArgumentException">
    /// The data set is empty, its size has changed since the run was started, or a batch does not match the model.
    /// </exception>
    public void Fit(
        IDataset<TBatch> dataset, IProgress<TrainingProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(dataset);
        RequireAlive();
        using var claim = Checkpoints.Claim();
        Begin(dataset);
        var run = new TrainingRun(this);
        using var logScope = ProgressReporter.BeginScope(run);
        Exception? error = null;
        try
        {
            run.Callbacks.Started();
            using var loader = new BatchLoader<TBatch>(
                dataset, Options.BatchSize, Options.Seed, Options.Loader with { FirstStep = Step }, Device);
            var reporter = new ProgressReporter(run, progress);
            while (Step < Options.Steps && run.StopReason is null && !cancellationToken.IsCancellationRequested)
            {
                run.Callbacks.BeforeStep();
                using (var batch = loader.Next(cancellationToken))
                    TrainStep(batch);
                run.Callbacks.AfterStep();

                var isLast = Step == Options.Steps || run.StopReason is not null;
                if (isLast || Step % Options.LogEvery == 0)
                    reporter.Report(_learningRate(Step - 1), loader.Waited);
                if (isLast || Step % Options.CheckpointEvery == 0 || run.StopReason is not null)
                    SaveRun(run);
            }

            End(run, cancellationToken);
        }
        catch (Exception e)
        {
            error = SaveFailed(run, e) ?? e;
            ExceptionDispatchInfo.Throw(error);
        }
        finally
        {
            run.Callbacks.Ended(error);
        }
    }

    /// <summary>Takes one training step with a batch. <see cref="Fit"/> calls this method in a loop.</summary>
    /// <param name="batch">The batch, on any device. It is not changed, and the caller must dispose it.</param>
    /// <exception cref="ArgumentException">The batch is empty, or does not match the model or the loss. The state is unchanged.</exception>
    /// <exception cref="InvalidOperationException">
    /// An inference scope is open, the parameters of the module were replaced, or an earlier step failed while it changed the weights.
    /// </exception>
    /// <exception cref="TrainingOutOfMemoryException">
    /// There is not enough memory for the step. The message names settings that require less memory.
    /// </exception>
    /// <exception cref="ScalarFinalizedException">
    /// The garbage collector freed a number that the application passed to an operator, in each attempt at the step or while the
    /// weights were updated.
    /// </exception>
    public void TrainStep(TBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        State.RequireWhole("take a step");
        for (var repeats = 0; ;)
        {
            State.OptimizerStep.Updating = false;
            try
            {
                TakeStep(batch);
                return;
            }
            catch (Exception e)
            {
                State.NoteFailure();
                if (TrainingOutOfMemoryException.IsCauseOf(e))
                {
                    if (!State.IsWhole || !_microBatching.Halve(batch.Count))
                        throw TrainingOutOfMemoryException.Of(State, e);
                }
                else if (ScalarFinalizedException.IsCauseOf(e))
                {
                    if (!State.IsWhole || repeats == Repeats)
                        throw ScalarFinalizedException.Of(State, repeats, e);
                    TrainerLog.Repeated(Log, Step + 1, ++repeats, Repeats);
                }
                else
                {
                    throw;
                }
            }
        }
    }

    /// <summary>Computes the loss of a batch, or of a part of one.</summary>
    /// <param name="batch">
    /// The batch, or a part of it, on the device of the module, in the type of its weights. The method must not dispose it.
    /// </param>
    /// <param name="draws">The source of all random numbers except those that the network draws.</param>
    /// <returns>The loss. The trainer disposes it.</returns>
    protected abstract StepLoss Evaluate(TBatch batch, StepRandom draws);

    /// <summary>Compares the data set with the model before the first step.</summary>
    private protected virtual void Check(IDataset<TBatch> dataset)
    {
    }

    /// <summary>Resumes the run if there is a checkpoint, and checks that the size of the data set has not changed.</summary>
    private void Begin(IDataset<TBatch> dataset)
    {
        var count = dataset.Count;
        if (count < 1)
            throw new ArgumentException($"A data set must have at least one sample, got {count}.", nameof(dataset));
        Checkpoints.ResumeRun(count);
        if (State.DatasetCount is { } before && before != count)
            throw new ArgumentException(
                Invariant($"The run so far had a data set of {before} samples, this one has {count}: the order of the data would ")
                + "not continue.",
                nameof(dataset));
        State.DatasetCount = count;
        State.Dataset = RunDescription.NameOf(dataset);
        State.Parameters.EnsureAttached();
        TrainerLog.Started(Log, Step, Options.Steps, count);
        if (Checkpoints.Folder is null && Step == 0)
            TrainerLog.NothingKept(Log);
        if (Options.LearningRateSchedule is null && Options.WarmupSteps > Options.Steps)
            TrainerLog.WarmUpTooLong(
                Log, Options.WarmupSteps, Options.Steps, _learningRate(Options.Steps - 1), Options.LearningRate);
        Check(dataset);
    }

    private void End(TrainingRun run, CancellationToken cancellationToken)
    {
        if (run.StopReason is { } reason)
            TrainerLog.Stopped(Log, Step, Options.Steps, reason);
        else if (Step < Options.Steps)
            cancellationToken.ThrowIfCancellationRequested();
    }

    private string? SaveRun(TrainingRun run)
    {
        if (Checkpoints.Folder is null || Checkpoints.IsSaved)
            return null;
        var path = Save();
        run.Callbacks.Saved(path);
        return path;
    }

    /// <summary>Saves a run that was cancelled, or that an exception ended between two steps.</summary>
    /// <returns>The exception that prevented a cancelled run from being saved; otherwise <see langword="null"/>.</returns>
    private Exception? SaveFailed(TrainingRun run, Exception error)
    {
        var isCancelled = error is OperationCanceledException;
        if (error is CheckpointException or DivergedException || !State.IsWhole || (Step == 0 && !isCancelled))
            return null;
        try
        {
            var path = SaveRun(run);
            if (isCancelled)
                TrainerLog.Cancelled(Log, Step, Options.Steps, path ?? "none");
        }
        catch (Exception e)
        {
            TrainerLog.NotSaved(Log, e, Step);
            return isCancelled ? e : null;
        }

        return null;
    }

    private void TakeStep(TBatch batch)
    {
        using var claim = State.Averages.Claim("take a step", isStep: true);
        var count = batch.Count;
        if (count < 1)
            throw new ArgumentException($"A batch must have at least one sample, got {count}.", nameof(batch));
        var rate = Guard.Factor(_learningRate(Step));
        if (!State.Module.training)
            State.Module.train();

        using var scope = NewDisposeScope();
        using var moved = batch.To(Device, State.Parameters.Dtype);
        State.Parameters.ZeroGradients();
        using var networkDraws = SeedSequence.Generator(Device, Options.Seed, RandomStream.Network, Step, Rank);
        using var draws = new StepRandom(Options.Seed, Step, Rank, count) { Generator = networkDraws };
        using var networkScope = TrainingRandom.Use(networkDraws);
        var evaluated = new List<StepLoss>();
        try
        {
            var loss = Backward(moved, draws, evaluated);
            State.OptimizerStep.Apply(loss, rate, Step + 1);
            foreach (var part in evaluated)
                part.AfterStep?.Invoke();
        }
        finally
        {
            State.OptimizerStep.Means.Discard();
            foreach (var part in evaluated)
                part.Dispose();
        }

        State.Step++;
    }

    /// <summary>
    /// Computes the loss of each part of the batch and accumulates its gradients, which add up to those of the mean loss of the whole
    /// batch.
    /// </summary>
    /// <returns>[] float64 the mean loss, in the current dispose scope.</returns>
    private Tensor Backward(TBatch batch, StepRandom draws, List<StepLoss> evaluated)
    {
        var total = zeros([], dtype: ScalarType.Float64, device: Device);
        var optimizer = State.OptimizerStep;
        var size = _microBatching.Size(draws.BatchSize, count => MeasureForward(batch, count));
        for (var first = 0L; first < draws.BatchSize; first += size)
        {
            var count = Math.Min(size, draws.BatchSize - first);
            draws.MoveTo(first, count);
            using var scope = NewDisposeScope();
            using var part = count == draws.BatchSize ? default : batch.Slice(first, count);
            var loss = Evaluate(part ?? batch, draws);
            evaluated.Add(loss);
            var share = count == draws.BatchSize ? loss.Loss : loss.Loss.Mul((double)count / draws.BatchSize);
            total.Add_(share.detach());
            Gradients.Backward(optimizer.GradScale?.Scale(share) ?? share);
            State.Parameters.CollectGradients();
            foreach (var sums in loss.Reports)
                optimizer.Means.Stage(sums);
        }

        return total;
    }

    /// <summary>
    /// Returns the number of bytes that a forward pass over the first samples stores for the backward pass. The random draws of the
    /// step are not affected.
    /// </summary>
    private long MeasureForward(TBatch batch, long count)
    {
        using var scope = NewDisposeScope();
        using var networkDraws = SeedSequence.Generator(Device, Options.Seed, RandomStream.Network, Step, Rank);
        using var draws = new StepRandom(Options.Seed, Step, Rank, batch.Count) { Generator = networkDraws };
        using var networkScope = TrainingRandom.Use(networkDraws);
        draws.MoveTo(0, count);
        var before = HostMemory.InUse();
        using var part = batch.Slice(0, count);
        using var loss = Evaluate(part, draws);
        return HostMemory.InUse() - before;
    }
}
