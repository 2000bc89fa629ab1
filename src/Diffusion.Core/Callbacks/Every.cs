namespace Diffusion.Core;

/// <summary>Callbacks that call an action at an interval of steps.</summary>
public static class Every
{
    /// <summary>
    /// Calls an action after each step whose number is a multiple of <paramref name="steps"/>. Steps are counted from the start of the run,
    /// so that a resumed run calls the action at the same steps as an uninterrupted one.
    /// </summary>
    /// <param name="steps">The interval in steps, at least 1.</param>
    /// <param name="action">The action, called on the training thread between two steps, such as <c>new SampleGrid(...).Run</c>.</param>
    /// <returns>The callback.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="steps"/> is less than 1.</exception>
    public static TrainerCallback Steps(long steps, Action<TrainingRun> action) => Create(steps, action, atEnd: false);

    /// <summary>
    /// Calls an action like <see cref="Steps"/>, and also when all steps are done or a callback has stopped the run, unless the action was
    /// already called at that step. It is not called when the run is cancelled or ends with an exception, because the run can be resumed.
    /// </summary>
    /// <inheritdoc cref="Steps"/>
    public static TrainerCallback StepsAndEnd(long steps, Action<TrainingRun> action) => Create(steps, action, atEnd: true);

    private static Timer Create(long steps, Action<TrainingRun> action, bool atEnd)
    {
        Guard.InRange(steps, 1, long.MaxValue);
        ArgumentNullException.ThrowIfNull(action);
        return new Timer(steps, action, atEnd);
    }

    private sealed class Timer(long steps, Action<TrainingRun> action, bool atEnd) : TrainerCallback
    {
        private long _actedAt;

        internal override string Name => $"{nameof(Every)}.{(atEnd ? nameof(StepsAndEnd) : nameof(Steps))}({steps}, {ActionName})";

        /// <summary>The name of the method, or "action" for a lambda expression.</summary>
        private string ActionName
            => action.Method.Name.Contains('<', StringComparison.Ordinal) ? "action" : $"{action.Method.DeclaringType?.Name}.{action.Method.Name}";

        // If no step follows, the action is not called at the end.
        public override void Started(TrainingRun run) => _actedAt = run.Step;

        public override void AfterStep(TrainingRun run)
        {
            // The last step is handled here and not in Ended, so that the last checkpoint contains the metrics that the action logs.
            if (run.Step % steps == 0 || (atEnd && run.Step == run.Options.Steps))
                Act(run);
        }

        public override void Ended(TrainingRun run, Exception? error)
        {
            if (atEnd && error is null && _actedAt != run.Step)
                Act(run);
        }

        private void Act(TrainingRun run)
        {
            _actedAt = run.Step;
            action(run);
        }
    }
}
