namespace Diffusion.Core;

/// <summary>Writes reports, measurements and pictures for TensorBoard: <c>tensorboard --logdir FOLDER</c>.</summary>
/// <remarks>Each part of a run writes a file of its own; steps that a resumed run takes again replace the earlier ones.</remarks>
/// <param name="folder">The folder of the run, made where it is missing.</param>
public sealed class TensorBoardLog(string folder) : ITrainerCallback
{
    private EventFile? _file;

    /// <inheritdoc/>
    public void Started(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        _file = new EventFile(folder, run.Step == 0 ? null : run.Step + 1);
    }

    /// <inheritdoc/>
    public void Reported(TrainingRun run, TrainingProgress progress)
    {
        ArgumentNullException.ThrowIfNull(progress);
        var step = progress.Step;
        _file?.AddScalar("train/loss", progress.Loss, step);
        _file?.AddScalar("train/learning_rate", progress.LearningRate, step);
        _file?.AddScalar("train/gradient_norm", progress.GradientNorm, step);
        _file?.AddScalar("train/samples_per_second", progress.SamplesPerSecond, step);
        _file?.AddScalar("train/data_wait", progress.DataWait.TotalSeconds, step);
        _file?.AddScalar("train/skipped_steps", progress.SkippedSteps, step);
        foreach (var (name, value) in progress.Metrics)
            _file?.AddScalar($"train/{name}", value, step);
    }

    /// <inheritdoc/>
    public void Measured(TrainingRun run, string name, double value)
    {
        ArgumentNullException.ThrowIfNull(run);
        _file?.AddScalar(name, value, run.Step);
    }

    /// <inheritdoc/>
    public void Pictured(TrainingRun run, string name, string path)
    {
        ArgumentNullException.ThrowIfNull(run);
        _file?.AddPicture(name, File.ReadAllBytes(path), run.Step);
    }
}
