using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.FaultHost;

/// <summary>Ends the process, as kill -9 does, before the n-th operation on the files of checkpoints.</summary>
internal sealed class KillingLogger(int operation) : ILogger
{
    private int _seen;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
        => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel == LogLevel.Trace;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (logLevel == LogLevel.Trace && ++_seen == operation)
            Process.GetCurrentProcess().Kill();
    }
}
