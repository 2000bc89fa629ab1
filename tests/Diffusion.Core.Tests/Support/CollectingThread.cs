namespace Diffusion.Core.Tests.Support;

/// <summary>A thread that does nothing but allocate, collect garbage and wait for finalizers, until it is disposed.</summary>
internal sealed class CollectingThread : IDisposable
{
    private readonly Thread _thread;
    private volatile bool _stop;

    public CollectingThread()
    {
        _thread = new Thread(Collect) { IsBackground = true, Name = nameof(CollectingThread) };
        _thread.Start();
    }

    /// <summary>How often it has collected.</summary>
    public int Collections { get; private set; }

    public void Dispose()
    {
        _stop = true;
        _thread.Join();
    }

    private void Collect()
    {
        for (; !_stop; Collections++)
        {
            _ = new byte[20_000];
            GC.Collect(Collections % 8 == 0 ? GC.MaxGeneration : 0);
            GC.WaitForPendingFinalizers();
        }
    }
}
