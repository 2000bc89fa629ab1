namespace Diffusion.Core;

/// <summary>How batches are loaded ahead of the steps that need them. Nothing here changes what they hold.</summary>
public sealed record LoaderOptions
{
    /// <summary>
    /// Threads that load: 2. With 0 each batch is loaded when it is asked for, on the thread that asks. Data sets may limit them: see
    /// <see cref="LoadThreading"/>.
    /// </summary>
    public int Workers { get; init; } = 2;

    /// <summary>Batches that may be ready or in the making, beside the one in use: 4.</summary>
    public int Depth { get; init; } = 4;

    /// <exception cref="ArgumentOutOfRangeException">A value is out of range.</exception>
    internal void Validate()
    {
        Guard.InRange(Workers, 0, 1024);
        Guard.InRange(Depth, 1, 1 << 16);
    }
}
