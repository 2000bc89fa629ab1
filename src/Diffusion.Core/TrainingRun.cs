namespace Diffusion.Core;

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
    internal IDisposable UseWeights(string? average) => average is null ? Trainer.UseTrained() : Trainer.UseAverage(average);
}
