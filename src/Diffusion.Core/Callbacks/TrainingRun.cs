namespace Diffusion.Core;

/// <summary>One call of <see cref="Trainer{TBatch}.Fit"/>, which is passed to the callbacks.</summary>
public sealed class TrainingRun
{
    private readonly CallbackList _callbacks;

    internal TrainingRun(Trainer trainer)
    {
        Trainer = trainer;
        _callbacks = new CallbackList(this, trainer.Log);
    }

    /// <summary>The trainer.</summary>
    public Trainer Trainer { get; }

    /// <summary>The options of the trainer.</summary>
    public TrainerOptions Options => Trainer.State.Options;

    /// <summary>The number of completed steps.</summary>
    public long Step => Trainer.Step;

    /// <summary>The number of passes over the data: 2.5 is halfway through the third pass.</summary>
    public double Epoch => Trainer.State.Epoch;

    /// <summary>The reason that was passed to <see cref="Stop"/>; <see langword="null"/> if the run was not stopped.</summary>
    public string? StopReason { get; private set; }

    internal CallbackList Callbacks => _callbacks;

    /// <summary>
    /// Ends the run after the current step, with a checkpoint if <see cref="TrainerOptions.CheckpointFolder"/> is set.
    /// </summary>
    /// <param name="reason">The reason, for logs and reports. If the method is called several times, the first reason is used.</param>
    /// <exception cref="ArgumentException"><paramref name="reason"/> is empty.</exception>
    public void Stop(string reason)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(reason);
        StopReason ??= reason;
    }

    /// <summary>
    /// Logs a metric of the current weights: it is written to the log, passed to all callbacks, and available to
    /// <see cref="CheckpointRetention"/>.
    /// </summary>
    /// <param name="name">The name, such as <c>bits_per_dim</c>.</param>
    /// <param name="value">The value.</param>
    /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
    public void LogMetric(string name, double value)
    {
        Trainer.RecordMetric(name, value);
        TrainerLog.Metric(Trainer.Log, Step, name, value);
        _callbacks.MetricLogged(name, value);
    }

    /// <summary>Passes an image to all callbacks, so that reports can contain it.</summary>
    /// <param name="name">The name of the series of images, such as <c>samples</c>.</param>
    /// <param name="path">The path of a complete PNG file. The file must not be moved or deleted.</param>
    /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    public void LogImage(string name, string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        if (!File.Exists(path))
            throw new FileNotFoundException($"There is no image '{path}' to log.", path);
        _callbacks.ImageLogged(name, path);
    }

    /// <summary>
    /// Gives the network the weights to evaluate and sets it to evaluation mode until the result is disposed.
    /// </summary>
    /// <param name="average">The name of an average; <see langword="null"/> for the trained weights.</param>
    internal IDisposable UseWeights(string? average)
        => average is null ? new Models.EvaluationMode(Trainer.State.Module) : Trainer.UseEma(average);
}

/// <summary>The progress of a training run since the last report.</summary>
public sealed record TrainingProgress
{
    /// <summary>The number of completed steps.</summary>
    public required long Step { get; init; }

    /// <summary>The number of steps of the whole run.</summary>
    public required long TotalSteps { get; init; }

    /// <summary>The number of passes over the data: 2.5 is halfway through the third pass.</summary>
    public required double Epoch { get; init; }

    /// <summary>The mean loss of the steps since the last report that were not skipped; NaN if all were skipped.</summary>
    public required double Loss { get; init; }

    /// <summary>The learning rate of the last step.</summary>
    public required double LearningRate { get; init; }

    /// <summary>The norm of all gradients together in the last step, before clipping.</summary>
    public required double GradientNorm { get; init; }

    /// <summary>The number of samples per second since the last report.</summary>
    public required double SamplesPerSecond { get; init; }

    /// <summary>The number of steps of the whole run that were skipped because their loss or gradient was not finite.</summary>
    public required long SkippedSteps { get; init; }

    /// <summary>
    /// Further means over the steps since the last report that were not skipped, by name: the terms of the loss, and the loss in each
    /// quarter of the time range, from <c>loss_q0</c> with the least noise to <c>loss_q3</c>. NaN if no sample had a value.
    /// </summary>
    public IReadOnlyDictionary<string, double> Metrics { get; init; } = new SortedDictionary<string, double>();

    /// <summary>The total time for which the steps since the last report waited for their batches.</summary>
    public TimeSpan DataWait { get; init; }
}
