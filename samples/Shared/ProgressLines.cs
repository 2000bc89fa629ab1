using System.Diagnostics;
using Diffusion.Core;

namespace Samples;

/// <summary>Prints a line at the first report, every ten seconds, and at the last step.</summary>
/// <remarks><see cref="Progress{T}"/> would pass reports to the thread pool, which does not keep their order.</remarks>
internal sealed class ProgressLines(TrainingClock clock, string loss = "loss") : IProgress<TrainingProgress>
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);

    private readonly Stopwatch _sinceLine = new();

    public void Report(TrainingProgress value)
    {
        if (_sinceLine.IsRunning && _sinceLine.Elapsed < s_interval && value.Step < value.TotalSteps)
            return;
        _sinceLine.Restart();
        Console.WriteLine(clock.Describe(value, loss));
    }
}
