namespace Diffusion.Core.Tests.Support;

/// <summary>Reports on the thread that makes them.</summary>
public sealed class DirectProgress(Action<TrainingProgress>? told = null) : IProgress<TrainingProgress>
{
    public List<TrainingProgress> Reports { get; } = [];

    public void Report(TrainingProgress value)
    {
        Reports.Add(value);
        told?.Invoke(value);
    }
}
