using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// A trainer for batches of one kind. Derive from it for a loss over batches of your own: everything but
/// <see cref="Evaluate"/> is here.
/// </summary>
/// <typeparam name="TBatch">What a data set gives for one step: <see cref="Batch"/>, or your own.</typeparam>
public abstract partial class Trainer<TBatch> : Trainer
    where TBatch : class, IBatch<TBatch>
{
    /// <summary>How often a step is repeated when a number of it was freed; each time is as unlikely as the first.</summary>
    private const int Repeats = 3;

    private readonly ILearningRateSchedule _learningRate;

    /// <summary>A trainer of a module, at step 0.</summary>
    /// <param name="module">The network; moved to <see cref="TrainerOptions.Device"/> if that is given.</param>
    /// <param name="beginInference">
    /// What readies the network for sampling while averaged weights are used, beside evaluation mode; null for nothing.
    /// </param>
    /// <param name="options">How; the defaults where null.</param>
    /// <param name="logger">Told about reports, checkpoints and skipped steps.</param>
    /// <exception cref="ArgumentException">
    /// An option is out of range, or the module has no trainable parameters, or not of one type on one device.
    /// </exception>
    /// <exception cref="InvalidOperationException">The module already belongs to another trainer.</exception>
    /// <exception cref="CheckpointException"><see cref="TrainerOptions.CheckpointFolder"/> cannot be written to.</exception>
    protected Trainer(nn.Module module, Func<IDisposable?>? beginInference, TrainerOptions? options, ILogger? logger)
        : base(module, beginInference, options, logger) => _learningRate = Options.EffectiveLearningRate;

    /// <summary>Takes one step on a batch of the caller's; <see cref="Fit"/> does the same in a loop.</summary>
    /// <param name="batch">On any device; not changed, and still the caller's.</param>
    /// <exception cref="ArgumentException">The batch is empty, or does not fit the model or the loss. Nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">The averaged weights are in use, or the module's parameters were replaced.</exception>
    /// <exception cref="TrainingOutOfMemoryException">There is not enough memory for the step; it names what lowers it.</exception>
    /// <exception cref="ScalarFinalizedException">
    /// The garbage collector freed a number that code of the application passed to an operator, in several attempts at the step or while the
    /// weights were updated.
    /// </exception>
    public void TrainStep(TBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        RequireWholeState("take a step");
        for (var repeats = 0; ;)
        {
            Engine.Updating = false;
            try
            {
                TakeStep(batch);
                return;
            }
            catch (Exception e) when (TrainingOutOfMemoryException.IsCauseOf(e))
            {
                if (Engine.Updating || !HalveParts(batch.Count))
                    throw OutOfMemory(e);
            }
            catch (Exception e) when (ScalarFinalizedException.IsCauseOf(e))
            {
                if (Engine.Updating || repeats == Repeats)
                    throw ScalarFinalized(e, repeats);
                LogRepeated(Logger, Step + 1, ++repeats, Repeats);
            }
            catch when (Engine.Updating)
            {
                Tear();
                throw;
            }
        }
    }

    /// <summary>The loss of a batch, or of a part of one, by which the weights move.</summary>
    /// <param name="batch">On the device of the module, in the type of its weights; not to be disposed.</param>
    /// <param name="draws">All randomness but that of the network comes from here.</param>
    /// <returns>Disposed by the trainer.</returns>
    protected abstract StepLoss Evaluate(TBatch batch, StepRandom draws);

    private void TakeStep(TBatch batch)
    {
        using var claim = Average.Claim("take a step", isStep: true);
        var count = batch.Count;
        if (count < 1)
            throw new ArgumentException($"A batch must have at least one sample, got {count}.", nameof(batch));
        var rate = Guard.InRange(_learningRate.At(Step), 0.0, double.MaxValue);
        if (!Network.training)
            Network.train();

        using var scope = NewDisposeScope();
        using var moved = batch.To(Device, Engine.Parameters.Dtype);
        Engine.Parameters.ZeroGradients();
        using var draws = new StepRandom(Options.Seed, Step, Rank, count);
        using var networkDraws = SeedSequence.Generator(Device, Options.Seed, RandomStream.Network, Step, Rank);
        using var networkScope = TrainingRandom.Use(networkDraws);
        var evaluated = new List<StepLoss>();
        try
        {
            var loss = Backward(moved, draws, evaluated);
            Engine.Apply(loss, rate, Step + 1);
            foreach (var part in evaluated)
                part.AfterStep?.Invoke();
        }
        finally
        {
            Engine.Means.Discard();
            foreach (var part in evaluated)
                part.Dispose();
        }

        Step++;
    }

    /// <summary>Forward and backward, part by part; gradients add up to those of the mean over the whole batch.</summary>
    private Tensor Backward(TBatch batch, StepRandom draws, List<StepLoss> evaluated)
    {
        var total = zeros([], dtype: ScalarType.Float64, device: Device);
        var size = PartSize(batch, draws.BatchSize);
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
            RunBackward(Engine.GradScale?.Scale(share) ?? share);
            Engine.Parameters.CollectGradients();
            foreach (var (names, sums, counts) in loss.Reports)
                Engine.Means.Stage(names, sums, counts);
        }

        return total;
    }

    /// <summary>Runs the backward pass. Where a function of this library or a checkpoint failed, its own exception is thrown.</summary>
    private static void RunBackward(Tensor loss)
    {
        var known = GradientCheckpointing.LastFailure;
        try
        {
            loss.backward();
        }
        catch (ExternalException) when (GradientCheckpointing.LastFailure is { } cause && !ReferenceEquals(cause, known))
        {
            ExceptionDispatchInfo.Throw(cause);
        }
    }
}
