namespace Diffusion.Core;

public abstract partial class Trainer
{
    private bool _torn;

    /// <summary>Ends a run that makes no more progress, and says on which data.</summary>
    private void RequireConvergence()
    {
        var inARow = Engine.SkippedInARow;
        if (inARow < Options.MaxSkippedInARow)
            return;
        var order = new DataOrder(Options.Seed, _datasetCount!.Value, Options.BatchSize);
        var report = DivergenceReport.Of(Step, inARow, order, Options.BatchSize);
        string? file = null;
        try
        {
            file = _store is null ? null : report.Write(_store.Folder);
        }
        catch (IOException e)
        {
            LogNotWritten(Logger, e.Message);
        }

        throw new DivergedException(
            $"The last {inARow} steps up to step {Step} had a loss or gradient that is not finite; "
            + $"{Options.MaxSkippedInARow} end the run. "
            + "Lower the learning rate, or look for such values in the data: the first of these steps had the samples "
            + $"{string.Join(", ", report.Steps[0].Indices.Take(16))}{(Options.BatchSize > 16 ? ", ..." : "")}. "
            + (file is null ? "" : $"{file} lists all of them. ")
            + "The weights are those before these steps.")
        {
            Steps = report.Steps,
            File = file,
        };
    }

    /// <summary>The error of a step that ran out of memory. A step that was updating the weights has left them halfway.</summary>
    private protected TrainingOutOfMemoryException OutOfMemory(Exception cause)
    {
        if (Engine.Updating)
            Tear();
        return new TrainingOutOfMemoryException(
            $"Step {Step + 1} needs more memory than there is. These lower it: a smaller TrainerOptions.MicroBatchSize, "
            + "UseGradientCheckpointing of the network's options, Precision.BFloat16, fewer averages, an optimizer that remembers less, "
            + "a smaller BatchSize, network or sample. "
            + (_torn
                ? "The step had begun to change the weights: resume from a checkpoint."
                : "The trainer is as it was before the step: it can be saved, or go on.")
            + $" The allocator said: {cause.Message}",
            cause)
        {
            StateIsWhole = !_torn,
        };
    }

    /// <summary>The error of a step in which a number was freed. A step that was updating the weights has left them halfway.</summary>
    private protected ScalarFinalizedException ScalarFinalized(Exception cause, int repeats)
    {
        if (Engine.Updating)
            Tear();
        return new ScalarFinalizedException(
            $"Step {Step + 1} failed{(repeats > 0 ? $" {repeats + 1} times" : "")}: the garbage collector freed a number that was passed to an "
            + "operator while libtorch was reading it. TorchSharp does not keep the number in `x * 0.5` or `x.mul(0.5)` alive. Write "
            + "`using Scalar half = 0.5; x.mul(half)`, or keep constants in static fields of type Scalar, in the network, the loss, the "
            + "optimizer and the callbacks of the application. "
            + (_torn
                ? "The step had begun to change the weights: resume from a checkpoint."
                : "The trainer is in the state before the step: it can be saved, or continue.")
            + $" libtorch reported: {cause.Message.Split('\n')[0]}",
            cause)
        {
            StateIsWhole = !_torn,
        };
    }

    /// <summary>Notes that a step failed while it changed the weights.</summary>
    private protected void Tear() => _torn = true;

    /// <summary>Refuses to use weights of which a part is a step ahead of the rest.</summary>
    private protected void RequireWholeState(string purpose)
    {
        if (_torn)
            throw new InvalidOperationException(
                $"The trainer cannot {purpose}: a step failed while it changed the weights. Resume from a checkpoint.");
    }
}
