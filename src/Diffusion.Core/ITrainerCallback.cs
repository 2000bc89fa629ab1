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
