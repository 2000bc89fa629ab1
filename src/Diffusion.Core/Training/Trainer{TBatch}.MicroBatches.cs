using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core;

public abstract partial class Trainer<TBatch>
{
    /// <summary>What backward needs at its worst beside what forward left, as a share of that.</summary>
    private const double BackwardShare = 0.25;

    /// <summary>The size of the parts in which a batch passes; found out at the first step where it depends on the memory.</summary>
    private long PartSize(TBatch batch, long count)
    {
        if (MicroBatchSize is null && Options.MemoryLimit is { } limit)
        {
            MicroBatchSize = FittingSize(batch, count, limit);
            LogMicroBatches(Logger, MicroBatchSize.Value, count, limit);
        }

        return Math.Min(MicroBatchSize ?? count, count);
    }

    /// <summary>Lets half as many samples pass at once, where that is left to the trainer.</summary>
    private bool HalveParts(long count)
    {
        var size = Math.Min(MicroBatchSize ?? count, count);
        if (Options.MicroBatchSize is not null || size == 1)
            return false;
        MicroBatchSize = (int)((size + 1) / 2);
        LogHalved(Logger, Step + 1, size, MicroBatchSize.Value);
        return true;
    }

    /// <summary>
    /// The most samples that fit: what one and two samples hold between forward and backward tells what a sample takes. The draws of the
    /// step are made anew afterwards.
    /// </summary>
    private int FittingSize(TBatch batch, long count, long limit)
    {
        if (count == 1)
            return 1;

        // The first pass makes what is made once: tables, and the buffers of libraries.
        Held(batch, 1);
        var before = HostMemory.InUse();
        var (one, two) = (Held(batch, 1), Held(batch, 2));
        var perSample = Math.Max(two - one, 1);
        var beside = Math.Max(one - perSample, 0);
        var room = ((limit - before) / (1.0 + BackwardShare)) - beside;
        return (int)Math.Clamp(room / perSample, 1, count);
    }

    private long Held(TBatch batch, long count)
    {
        using var scope = NewDisposeScope();
        using var draws = new StepRandom(Options.Seed, Step, Rank, batch.Count);
        using var networkDraws = SeedSequence.Generator(Device, Options.Seed, RandomStream.Network, Step, Rank);
        using var networkScope = TrainingRandom.Use(networkDraws);
        draws.MoveTo(0, count);
        var before = HostMemory.InUse();
        using var part = batch.Slice(0, count);
        using var loss = Evaluate(part, draws);
        return HostMemory.InUse() - before;
    }
}
