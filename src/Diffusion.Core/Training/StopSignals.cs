using System.Runtime.InteropServices;

namespace Diffusion.Core;

/// <summary>
/// Converts Ctrl-C and SIGTERM into a cancellation: after the first signal, the run saves its state and ends; the second signal ends
/// the process immediately.
/// </summary>
/// <example>
/// <code>
/// using var stop = new StopSignals();
/// try { trainer.Fit(dataset, progress, stop.Token); }
/// catch (OperationCanceledException) { return stop.ExitCode ?? 1; }
/// </code>
/// </example>
public sealed class StopSignals : IDisposable
{
    private const int SignalBase = 128;
    private const int Interrupt = 2;
    private const int Terminate = 15;

    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;
    private int _received;

    /// <summary>
    /// Initializes a new instance of the <see cref="StopSignals"/> class, which replaces the default action of the signals until it is
    /// disposed.
    /// </summary>
    public StopSignals() => _registrations =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Receive(context, Interrupt)),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Receive(context, Terminate)),
    ];

    /// <summary>The token that the first signal cancels.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>
    /// The exit code of the process by the convention of shells: 130 after SIGINT (Ctrl-C), 143 after SIGTERM; <see langword="null"/>
    /// if no signal was received.
    /// </summary>
    public int? ExitCode => _received == 0 ? null : SignalBase + _received;

    /// <summary>Restores the default action of the signals.</summary>
    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
        _source.Dispose();
    }

    /// <summary>Handles a signal, on a thread of the runtime.</summary>
    internal void Receive(PosixSignalContext context, int signal)
    {
        // Without Cancel, the default action of the signal follows, which ends the process.
        if (Interlocked.CompareExchange(ref _received, signal, 0) != 0)
            return;
        context.Cancel = true;
        try
        {
            _source.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The signal was received while this object was disposed, when the run had ended.
        }
    }
}
