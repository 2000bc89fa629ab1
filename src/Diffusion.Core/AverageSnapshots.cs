namespace Diffusion.Core;

/// <summary>
/// Stores every average with a <see cref="PowerFunctionDecay"/> now and then, for <see cref="PostHocAverage"/> to make averages of other
/// widths of them after training.
/// </summary>
/// <remarks>
/// <para>Source: Karras et al. 2024, section 3.2, who keep two, of widths 0.05 and 0.10, and store them some hundred times in a run.</para>
/// <para>A snapshot is <c>step-00001000-NAME.safetensors</c>, with the step and the width in its header; it appears whole or not at
/// all. A run that was resumed from before a snapshot writes the same bytes over it.</para>
/// </remarks>
/// <param name="folder">Where to; made where it is missing.</param>
/// <param name="every">Steps between snapshots, counted from the start of the run.</param>
public sealed class AverageSnapshots(string folder, long every) : ITrainerCallback
{
    private readonly string _folder = Guard.NotNull(folder);
    private readonly long _every = Guard.InRange(every, 1, long.MaxValue);

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The run has no average of a power-function profile.</exception>
    public void Started(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (!run.Trainer.Profiles().Any())
            throw new InvalidOperationException(
                $"There is nothing to store: neither {nameof(TrainerOptions.Ema)} nor any of {nameof(TrainerOptions.MoreAverages)} "
                + $"is made by {nameof(EmaDecay)}.{nameof(EmaDecay.PowerFunction)}.");
    }

    /// <inheritdoc/>
    /// <exception cref="IOException">A file cannot be written; nothing half-written stays behind.</exception>
    public void AfterStep(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (run.Step % _every == 0)
            run.Trainer.SaveProfiles(_folder);
    }
}
