using Microsoft.Extensions.Logging;

namespace Diffusion.Core;

/// <summary>Determines the number of samples in a forward pass.</summary>
internal sealed class MicroBatching(TrainingState state, ILogger logger)
{
    /// <summary>The maximum additional memory of the backward pass, relative to the memory that the forward pass stores.</summary>
    private const double BackwardShare = 0.25;

    /// <summary>
    /// Returns the number of samples in a forward pass. If it depends on a memory limit, the first step determines it by measurements.
    /// </summary>
    /// <param name="count">The number of samples of the batch.</param>
    /// <param name="measure">Returns the number of bytes that a forward pass over the first n samples stores for the backward pass.</param>
    public long Size(long count, Func<long, long> measure)
    {
        if (state.MicroBatchSize is null && state.Options.MemoryLimit is { } limit)
        {
            state.MicroBatchSize = FittingSize(count, limit, measure);
            TrainerLog.MicroBatches(logger, state.MicroBatchSize.Value, count, limit);
        }

        return Math.Min(state.MicroBatchSize ?? count, count);
    }

    /// <summary>Halves the number of samples, unless the options specify it.</summary>
    /// <returns><see langword="false"/> if the number cannot be halved.</returns>
    public bool Halve(long count)
    {
        var size = Math.Min(state.MicroBatchSize ?? count, count);
        if (state.Options.MicroBatchSize is not null || size == 1)
            return false;
        state.MicroBatchSize = (int)((size + 1) / 2);
        TrainerLog.Halved(logger, state.Step + 1, size, state.MicroBatchSize.Value);
        return true;
    }

    /// <summary>
    /// Returns the number of samples that fit the limit. The memory of a sample is the difference between passes over two samples and
    /// one.
    /// </summary>
    private static int FittingSize(long count, long limit, Func<long, long> measure)
    {
        if (count == 1)
            return 1;

        // The first pass also allocates memory that is allocated only once, such as tables and the buffers of libraries.
        measure(1);
        var before = HostMemory.InUse();
        var (one, two) = (measure(1), measure(2));
        var perSample = Math.Max(two - one, 1);
        var constant = Math.Max(one - perSample, 0);
        var room = ((limit - before) / (1.0 + BackwardShare)) - constant;
        return (int)Math.Clamp(room / perSample, 1, count);
    }
}
