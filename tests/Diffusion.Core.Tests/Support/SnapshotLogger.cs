using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Tests.Support;

/// <summary>
/// Copies a folder before each operation on the files of checkpoints: what a process that is killed at that moment would leave, since what
/// is written survives the process.
/// </summary>
internal sealed class SnapshotLogger(string folder, string copies) : ILogger
{
    private const int Saved = 4;

    /// <summary>For each copy: where it is, what was about to be done, and the last step that had been saved.</summary>
    public List<(string Path, string Operation, long Saved)> Taken { get; } = [];

    /// <summary>The last step that was saved.</summary>
    public long LastSaved { get; set; }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
        => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (logLevel == LogLevel.Trace)
        {
            var copy = Path.Combine(copies, $"{Taken.Count}");
            Copy(folder, copy);
            Taken.Add((copy, formatter(state, exception), LastSaved));
        }
        else if (eventId.Id == Saved)
        {
            LastSaved = (long)((IReadOnlyList<KeyValuePair<string, object?>>)state!).Single(entry => entry.Key == "Step").Value!;
        }
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var directory in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories))
            Directory.CreateDirectory(Path.Combine(to, Path.GetRelativePath(from, directory)));
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
            File.Copy(file, Path.Combine(to, Path.GetRelativePath(from, file)));
    }
}
