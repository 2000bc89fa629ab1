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
}
