using System.Runtime.InteropServices;

namespace Diffusion.Core;

/// <summary>
/// Ctrl-C and SIGTERM as a cancellation: the first asks the run to save its state and end, the second ends the process at once.
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

    /// <summary>Listens from now on, in place of what the system does by itself, until disposed.</summary>
    public StopSignals() => _registrations =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Receive(context, Interrupt)),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Receive(context, Terminate)),
    ];

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>
    /// What the process ought to return, as shells have it: 130 after Ctrl-C (SIGINT), 143 after SIGTERM; null where no signal came.
    /// </summary>
    public int? ExitCode => _received == 0 ? null : SignalBase + _received;

    /// <summary>Leaves signals to the system again.</summary>
    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
        _source.Dispose();
    }

    /// <summary>What a signal does, on a thread of the system's.</summary>
    internal void Receive(PosixSignalContext context, int signal)
    {
        // Not cancelled, a signal does what it does by itself, which ends the process.
        if (Interlocked.CompareExchange(ref _received, signal, 0) != 0)
            return;
        context.Cancel = true;
        try
        {
            _source.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It came while this object was disposed: the run it would have stopped has ended.
        }
    }
}
