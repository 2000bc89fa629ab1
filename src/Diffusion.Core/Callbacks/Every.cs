namespace Diffusion.Core;

/// <summary>Actions that are taken now and then while a trainer runs.</summary>
public static class Every
{
    /// <summary>
    /// Acts after each step whose number is a multiple of <paramref name="steps"/>. The number counts from the start of the run, so that
    /// one which was resumed acts at the same steps as one which was not.
    /// </summary>
    /// <param name="steps">At least 1.</param>
    /// <param name="action">What to do, on the training thread, between two steps: <c>new SampleGrid(...).Run</c>.</param>
    /// <param name="atEnd">
    /// Whether it is also done when the run is complete or a callback has stopped it, where it was not just done. A run that is cancelled,
    /// or that an exception ends, is to go on, and so does not end here.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="steps"/> is less than 1.</exception>
    public static ITrainerCallback Steps(long steps, Action<TrainingRun> action, bool atEnd = false)
    {
        Guard.InRange(steps, 1, long.MaxValue);
        ArgumentNullException.ThrowIfNull(action);
        return new Timer(steps, action, atEnd);
    }

    private sealed class Timer(long steps, Action<TrainingRun> action, bool atEnd) : ITrainerCallback
    {
        private long _actedAt;

        // A run that goes on from here has nothing new to act upon.
        public void Started(TrainingRun run) => _actedAt = run.Step;

        public void AfterStep(TrainingRun run)
        {
            // The last step counts here already, so that the last checkpoint knows what was measured.
            if (run.Step % steps == 0 || (atEnd && run.Step == run.Options.Steps))
                Act(run);
        }

        public void Ended(TrainingRun run, Exception? error)
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
