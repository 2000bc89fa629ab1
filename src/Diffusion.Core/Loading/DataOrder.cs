using Diffusion.Core.Schedules;

namespace Diffusion.Core;

/// <summary>
/// Determines the samples of each step: each epoch is a permutation that depends on (seed, epoch), and each step takes the next B elements
/// of the infinite sequence of permutations, so that each batch is full and resuming requires only the number of the step.
/// </summary>
/// <param name="seed">The seed of the run.</param>
/// <param name="count">The number of samples, at least 1.</param>
/// <param name="batchSize">B, the batch size. It may exceed the number of samples.</param>
internal sealed class DataOrder(long seed, long count, int batchSize)
{
    private long[] _permutation = [];
    private long _epoch = -1;

    /// <summary>Writes the indices and seeds of one step.</summary>
    /// <param name="step">The number of steps before it: 0 for the first.</param>
    /// <param name="indices">[B] receives the indices, in 0..count-1.</param>
    /// <param name="seeds">[B] receives the seed of the random draws of each sample; or empty if there are no draws.</param>
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

    /// <summary>
    /// Shuffles the samples of an epoch (Fisher and Yates, in the form of Durstenfeld 1964). Implemented here so that the order does not
    /// depend on the version of a library.
    /// </summary>
    private void Shuffle(long epoch)
    {
        if (_permutation.LongLength != count)
            _permutation = new long[count];
        for (var i = 0L; i < count; i++)
            _permutation[i] = i;
        for (var i = count - 1; i > 0; i--)
        {
            // The high word of the product is uniform over 0..i, except for a bias of i / 2^64.
            var draw = SeedSequence.Mix(seed, RandomStream.Order, epoch, i);
            var j = (long)Math.BigMul(draw, (ulong)i + 1, out _);
            (_permutation[i], _permutation[j]) = (_permutation[j], _permutation[i]);
        }

        _epoch = epoch;
    }
}
