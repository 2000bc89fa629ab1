using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// Derives seeds from a root seed and integers that identify a use: for example, the step and the rank in training, or the index of
/// the sample in sampling. A resumed run therefore repeats the draws of an uninterrupted one, and the draws of a sample do not depend
/// on the batch size.
/// </summary>
/// <remarks>
/// Each integer is mixed in by the finaliser of SplitMix64 (Steele, Lea and Flood 2014). Two sequences of integers that differ in
/// exactly one of them always have different seeds. The CPU generator of libtorch uses only the lower 32 bits of a seed, so that two
/// of n uses have equal draws with a probability of about n^2 / 2^33; its generators on other devices use all 64 bits.
/// </remarks>
public static class SeedSequence
{
    /// <summary>Computes a 64-bit seed from a root seed and the integers that identify a use.</summary>
    public static ulong Mix(long seed, params ReadOnlySpan<long> words)
    {
        var state = Finalise(unchecked((ulong)seed) + 0x9E3779B97F4A7C15UL);
        foreach (var word in words)
            state = Finalise(unchecked((state ^ (ulong)word) + 0x9E3779B97F4A7C15UL));
        return state;
    }

    /// <summary>Creates a generator that is seeded with <see cref="Mix"/>. The caller must dispose the returned generator.</summary>
    /// <param name="device">The device of the generator. The default, <see langword="null"/>, is the CPU.</param>
    /// <param name="seed">The root seed.</param>
    /// <param name="words">The integers that identify the use.</param>
    public static Generator Generator(Device? device, long seed, params ReadOnlySpan<long> words) => new(Mix(seed, words), device);

    private static ulong Finalise(ulong z)
    {
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL);
        z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EBUL);
        return z ^ (z >> 31);
    }
}
