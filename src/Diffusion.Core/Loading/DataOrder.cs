using Diffusion.Core.Schedules;

namespace Diffusion.Core;

/// <summary>
/// Which samples each step sees: every epoch is a permutation of (seed, epoch), and step k takes the next B places of the endless
/// row of permutations, so that each batch is full and resuming needs nothing but the number of the step.
/// </summary>
/// <param name="seed">The seed of the run.</param>
/// <param name="count">The number of samples, at least 1.</param>
/// <param name="batchSize">B; may exceed the number of samples.</param>
internal sealed class DataOrder(long seed, long count, int batchSize)
{
    private long[] _permutation = [];
    private long _epoch = -1;

    /// <summary>The indices of one step.</summary>
    /// <param name="step">Steps before it: 0 for the first.</param>
    /// <param name="indices">[B] filled with indices 0..count-1.</param>
    /// <param name="seeds">[B] filled with what the random draws of each sample follow from; empty where there are none.</param>
    public void Fill(long step, Span<long> indices, Span<ulong> seeds = default)
    {
        var position = checked(step * batchSize);
        for (var i = 0; i < indices.Length; i++, position++)
        {
            var (epoch, place) = Math.DivRem(position, count);
            if (epoch != _epoch)
                Shuffle(epoch);
            indices[i] = _permutation[place];
            if (!seeds.IsEmpty)
                seeds[i] = SeedSequence.Mix(seed, RandomStream.Augmentation, epoch, indices[i]);
        }
    }

    /// <summary>The shuffle of Fisher and Yates, in the form of Durstenfeld 1964; our own so that no library version changes it.</summary>
    private void Shuffle(long epoch)
    {
        if (_permutation.LongLength != count)
            _permutation = new long[count];
        for (var i = 0L; i < count; i++)
            _permutation[i] = i;
        for (var i = count - 1; i > 0; i--)
        {
            // The high word of the product is uniform over 0..i, but for a bias of i / 2^64.
            var draw = SeedSequence.Mix(seed, RandomStream.Order, epoch, i);
            var j = (long)Math.BigMul(draw, (ulong)i + 1, out _);
            (_permutation[i], _permutation[j]) = (_permutation[j], _permutation[i]);
        }

        _epoch = epoch;
    }
}
