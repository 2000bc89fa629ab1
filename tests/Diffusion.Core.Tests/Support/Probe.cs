namespace Diffusion.Core.Tests.Support;

/// <summary>A batch without tensors: what was asked for, and whether it was freed.</summary>
internal sealed class Probe(Probes data, long[] indices, ulong[] seeds) : IDisposable
{
    private int _disposed;

    public long[] Indices { get; } = indices;

    public ulong[] Seeds { get; } = seeds;

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
            data.Freed(this);
    }
}
