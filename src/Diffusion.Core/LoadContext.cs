namespace Diffusion.Core;

/// <summary>What a data set is told beside the indices when it loads a batch for a step of training.</summary>
/// <param name="seeds">One for each sample.</param>
/// <param name="cancellationToken">Cancelled when the batch is no longer wanted.</param>
public readonly ref struct LoadContext(ReadOnlySpan<ulong> seeds, CancellationToken cancellationToken = default)
{
    /// <summary>
    /// 64 bits for each sample, from which all its random draws follow. They are a function of (seed of the run, epoch, index of the
    /// sample): they differ between epochs, and do not depend on batch size, number of threads or resuming.
    /// </summary>
    public ReadOnlySpan<ulong> Seeds { get; } = seeds;

    /// <summary>Cancelled when the batch is no longer wanted; a data set that takes long should look at it.</summary>
    public CancellationToken CancellationToken { get; } = cancellationToken;
}
