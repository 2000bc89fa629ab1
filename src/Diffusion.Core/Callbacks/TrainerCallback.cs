using System.Text.Json;

namespace Diffusion.Core;

/// <summary>
/// Receives notifications while a trainer runs, and can act between its steps. Each member does nothing unless it is overridden.
/// </summary>
/// <remarks>
/// All members are called on the training thread. An exception ends the run: the other callbacks still receive the notification, except
/// for <see cref="Started"/>; a run that has taken a step is saved if <see cref="TrainerOptions.CheckpointFolder"/> is set; and
/// <see cref="Trainer{TBatch}.Fit"/> throws a <see cref="TrainerCallbackException"/> that names the callback. An
/// <see cref="OperationCanceledException"/> cancels the run and is thrown unchanged.
/// </remarks>
public abstract class TrainerCallback
{
    /// <summary>The name of the callback in messages.</summary>
    internal virtual string Name => GetType().Name;

    /// <summary>
    /// Whether the callback only records the run, as <see cref="MetricsFile"/> does: an <see cref="IOException"/> or
    /// <see cref="UnauthorizedAccessException"/> after <see cref="Started"/>, such as that of a full disk, is then logged as a warning, and
    /// the run continues. The default is <see langword="false"/>.
    /// </summary>
    public virtual bool IsRecord => false;

    /// <summary>Called before the first step of a call of <see cref="Trainer{TBatch}.Fit"/>, after resuming.</summary>
    /// <param name="run">The run.</param>
    public virtual void Started(TrainingRun run)
    {
    }

    /// <summary>
    /// Called before each step. If the run is cancelled while it waits for the batch, the step is not taken. The method must not wait
    /// for the device.
    /// </summary>
    /// <param name="run">The run.</param>
    public virtual void BeforeStep(TrainingRun run)
    {
    }

    /// <summary>Called after each step. The method should wait for the device only rarely.</summary>
    /// <param name="run">The run.</param>
    public virtual void AfterStep(TrainingRun run)
    {
    }

    /// <summary>Called every <see cref="TrainerOptions.LogEvery"/> steps and at the end of the run.</summary>
    /// <param name="run">The run.</param>
    /// <param name="progress">The loss, the gradient norm, the speed and other metrics since the last call.</param>
    public virtual void Reported(TrainingRun run, TrainingProgress progress)
    {
    }

    /// <summary>Called when a metric is logged by <see cref="TrainingRun.LogMetric"/>.</summary>
    /// <param name="run">The run.</param>
    /// <param name="name">The name of the metric.</param>
    /// <param name="value">The value.</param>
    public virtual void MetricLogged(TrainingRun run, string name, double value)
    {
    }

    /// <summary>Called when an image is logged by <see cref="TrainingRun.LogImage"/>.</summary>
    /// <param name="run">The run.</param>
    /// <param name="name">The name of the series of images.</param>
    /// <param name="path">The path of the complete PNG file.</param>
    public virtual void ImageLogged(TrainingRun run, string name, string path)
    {
    }

    /// <summary>Called after a checkpoint was written.</summary>
    /// <param name="run">The run.</param>
    /// <param name="path">The folder of the checkpoint.</param>
    public virtual void Saved(TrainingRun run, string path)
    {
    }

    /// <summary>
    /// Called when <see cref="Trainer{TBatch}.Fit"/> ends for any reason, if <see cref="Started"/> returned. An exception here is
    /// logged, and
    /// <see cref="Trainer{TBatch}.Fit"/> throws it only if nothing else has failed.
    /// </summary>
    /// <param name="run">The run.</param>
    /// <param name="error">The exception that ended the run; <see langword="null"/> if there was none.</param>
    public virtual void Ended(TrainingRun run, Exception? error)
    {
    }
}

/// <summary>A <see cref="TrainerCallback"/> whose state is part of a checkpoint, so that a resumed run continues as if it had not
/// stopped.</summary>
public interface IStatefulCallback
{
    /// <summary>The name of the state in a checkpoint, unique among the callbacks of a run.</summary>
    string Key { get; }

    /// <summary>Returns the state.</summary>
    /// <returns>A JSON value that <see cref="Load"/> accepts.</returns>
    JsonElement Save();

    /// <summary>Restores the state that <see cref="Save"/> returned.</summary>
    /// <param name="state">The state.</param>
    /// <exception cref="JsonException">The value is not a state of this callback.</exception>
    void Load(JsonElement state);
}

/// <summary>The exception that is thrown when an exception in a callback has ended the run.</summary>
/// <remarks>
/// If <see cref="TrainerOptions.CheckpointFolder"/> is set and <see cref="Step"/> is greater than 0, the trainer first saves the run,
/// so that it can be resumed.
/// </remarks>
public sealed class TrainerCallbackException : Exception
{
    /// <summary>Initializes a new instance of the <see cref="TrainerCallbackException"/> class.</summary>
    public TrainerCallbackException()
    {
    }

    /// <summary>Initializes a new instance of the <see cref="TrainerCallbackException"/> class with a message.</summary>
    /// <param name="message">The message.</param>
    public TrainerCallbackException(string message)
        : base(message)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="TrainerCallbackException"/> class with a message and the cause.</summary>
    /// <param name="message">The message.</param>
    /// <param name="innerException">The exception that the callback threw.</param>
    public TrainerCallbackException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    internal TrainerCallbackException(object callback, string member, long step, Exception cause)
        : base($"{NameOf(callback)}.{member} failed at step {step}: {cause.Message}", cause)
        => (Callback, Step) = (callback, step);

    /// <summary>The callback that failed, or the <see cref="IProgress{T}"/> passed to <see cref="Trainer{TBatch}.Fit"/>.</summary>
    public object? Callback { get; }

    /// <summary>The number of completed steps when the callback failed.</summary>
    public long Step { get; }

    internal static string NameOf(object callback) => callback is TrainerCallback known ? known.Name : callback.GetType().Name;
}
