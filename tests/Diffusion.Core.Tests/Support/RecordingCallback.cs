namespace Diffusion.Core.Tests.Support;

/// <summary>Writes down when it is called, with the step.</summary>
public sealed class RecordingCallback(string name = "", List<string>? calls = null) : TrainerCallback
{
    public List<string> Calls { get; } = calls ?? [];

    /// <summary>Run after each step.</summary>
    public Action<TrainingRun>? Acting { get; set; }

    public override void Started(TrainingRun run) => Add("started", run);

    public override void BeforeStep(TrainingRun run) => Add("before", run);

    public override void AfterStep(TrainingRun run)
    {
        Add("after", run);
        Acting?.Invoke(run);
    }

    public override void Reported(TrainingRun run, TrainingProgress progress) => Add("reported", run);

    public override void MetricLogged(TrainingRun run, string name, double value) => Add(FormattableString.Invariant($"measured {name}={value}"), run);

    public override void ImageLogged(TrainingRun run, string name, string path) => Add($"pictured {name}", run);

    public override void Saved(TrainingRun run, string path) => Add("saved", run);

    public override void Ended(TrainingRun run, Exception? error) => Add($"ended {error?.GetType().Name ?? "well"}", run);

    private void Add(string what, TrainingRun run) => Calls.Add($"{name}{what} {run.Step}");
}
