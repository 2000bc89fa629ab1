using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Testing;

/// <summary>A logger that stores its messages.</summary>
public sealed class ListLogger : ILogger
{
    public List<(LogLevel Level, string Text)> Entries { get; } = [];

    /// <summary>The texts of the warnings.</summary>
    public IEnumerable<string> Warnings => Entries.Where(entry => entry.Level == LogLevel.Warning).Select(entry => entry.Text);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
        => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        => Entries.Add((logLevel, formatter(state, exception)));
}
