using System.Text.Json;

namespace Diffusion.Core;

/// <summary>
/// Looks on while a trainer runs, and acts between its steps. Every member does nothing unless it is implemented. All are called on the
/// training thread; an exception ends the run as any other would.
/// </summary>
public interface ITrainerCallback
{
    /// <summary>Before the first step of this call of Fit, after resuming.</summary>
    void Started(TrainingRun run)
    {
    }

    /// <summary>Before each step, of which a cancelled run may not take the last. Must not wait for the device.</summary>
    void BeforeStep(TrainingRun run)
    {
    }

    /// <summary>After each step. Must not wait for the device, unless it does so rarely.</summary>
    void AfterStep(TrainingRun run)
    {
    }

    /// <summary>At each report.</summary>
    void Reported(TrainingRun run, TrainingProgress progress)
    {
    }

    /// <summary>When anyone has measured something, as an evaluation does.</summary>
    /// <param name="run">The run.</param>
    /// <param name="name">What was measured.</param>
    /// <param name="value">The value.</param>
    void Measured(TrainingRun run, string name, double value)
    {
    }

    /// <summary>When anyone has made a picture, as of samples.</summary>
    /// <param name="run">The run.</param>
    /// <param name="name">What it shows: one name for each series of pictures.</param>
    /// <param name="path">A PNG file, complete.</param>
    void Pictured(TrainingRun run, string name, string path)
    {
    }

    /// <summary>When a checkpoint was written.</summary>
    /// <param name="run">The run.</param>
    /// <param name="path">Its folder.</param>
    void Saved(TrainingRun run, string path)
    {
    }

    /// <summary>
    /// When Fit ends, however it ends, and <see cref="Started"/> was called. An exception here is logged, and thrown by Fit only where
    /// nothing else has gone wrong; the other callbacks are called all the same.
    /// </summary>
    /// <param name="run">The run.</param>
    /// <param name="error">What ended it before its time; null where nothing did.</param>
    void Ended(TrainingRun run, Exception? error)
    {
    }
}

/// <summary>A callback whose memory is part of a checkpoint, so that a resumed run goes on as if it had not stopped.</summary>
public interface IStatefulCallback : ITrainerCallback
{
    /// <summary>Tells its state from that of others in a checkpoint; one callback of a run for each key.</summary>
    string Key { get; }

    /// <summary>What is to be remembered.</summary>
    JsonElement Save();

    /// <summary>Takes up what <see cref="Save"/> gave.</summary>
    /// <exception cref="JsonException">It is nothing that this callback would save.</exception>
    void Load(JsonElement state);
}

/// <summary>A call of Fit, as its callbacks see it.</summary>
public sealed class TrainingRun
{
    internal TrainingRun(Trainer trainer, TrainerOptions options) => (Trainer, Options) = (trainer, options);

    /// <summary>The trainer.</summary>
    public Trainer Trainer { get; }

    /// <summary>How it trains.</summary>
    public TrainerOptions Options { get; }

    /// <summary>Steps done.</summary>
    public long Step => Trainer.Step;

    /// <summary>How often the data was seen: 2.5 is halfway through the third time.</summary>
    public double Epoch => Trainer.Epoch;

    /// <summary>Why the run is to end after the step at hand; null while it is not.</summary>
    public string? StopReason { get; private set; }

    /// <summary>Ends the run after the step at hand, with a checkpoint where there is a folder for them; the first reason stays.</summary>
    public void Stop(string reason)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(reason);
        StopReason ??= reason;
    }

    /// <summary>Tells everyone, the log and the choice of the best checkpoint included, what was measured.</summary>
    /// <param name="name">What was measured, as <c>bits_per_dim</c>.</param>
    /// <param name="value">The value.</param>
    public void Measure(string name, double value)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        Trainer.Measured(this, name, value);
    }

    /// <summary>Tells every callback of a picture, so that reports can show it.</summary>
    /// <param name="name">What it shows: one name for each series of pictures, as <c>samples</c>.</param>
    /// <param name="path">A PNG file, complete, which stays where it is.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public void Show(string name, string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        if (!File.Exists(path))
            throw new FileNotFoundException($"There is no picture '{path}' to show.", path);
        foreach (var callback in Options.Callbacks)
            callback.Pictured(this, name, path);
    }

    /// <summary>Puts the weights to measure in the network, and the network in evaluation mode, until the result is disposed.</summary>
    /// <param name="average">The name of an average; null for the weights as they are trained.</param>
    internal IDisposable UseWeights(string? average) => average is null ? Trainer.UseTrained() : Trainer.UseEma(average);
}

/// <summary>Where a training run is.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="TotalSteps">Steps to do.</param>
/// <param name="Epoch">How often the data was seen: 2.5 is halfway through the third time.</param>
/// <param name="Loss">The mean loss of the steps since the last report that were not skipped; NaN when all were.</param>
/// <param name="LearningRate">The rate of the last step.</param>
/// <param name="GradientNorm">The norm of all gradients of the last step, before clipping.</param>
/// <param name="SamplesPerSecond">Since the last report.</param>
/// <param name="SkippedSteps">Steps of the whole run that left no trace because their loss or gradient was not finite.</param>
public sealed record TrainingProgress(
    long Step,
    long TotalSteps,
    double Epoch,
    double Loss,
    double LearningRate,
    double GradientNorm,
    double SamplesPerSecond,
    long SkippedSteps)
{
    /// <summary>
    /// Means, over the steps since the last report that were not skipped, of what the loss reports besides, by name: its terms, and the
    /// loss by quarters of time, of which <c>loss_q0</c> is the one of least noise. NaN for what had no value.
    /// </summary>
    public IReadOnlyDictionary<string, double> Metrics { get; init; } = new SortedDictionary<string, double>();

    /// <summary>How long the steps since the last report waited for their batches, all together.</summary>
    public TimeSpan DataWait { get; init; }
}
