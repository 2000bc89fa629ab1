using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// Seeds as a function of what they are for: (seed, step, rank) in training, (seed, sample index) in sampling, so that neither batch
/// size, process count nor resuming changes a random draw.
/// </summary>
/// <remarks>
/// Mixing: the finaliser of SplitMix64 (Steele, Lea and Flood 2014), applied to each word in turn. Seeds that differ in one word never
/// meet. libtorch's generator on the CPU reads the lower 32 bits of a seed, so that there two of n uses draw alike with a chance of
/// about n^2 / 2^33; its generators on other devices read all 64.
/// </remarks>
public static class SeedSequence
{
    /// <summary>A 64-bit seed from a root seed and the words that tell one use from another.</summary>
    public static ulong Mix(long seed, params ReadOnlySpan<long> words)
    {
        var state = Finalise(unchecked((ulong)seed) + 0x9E3779B97F4A7C15UL);
        foreach (var word in words)
            state = Finalise(unchecked((state ^ (ulong)word) + 0x9E3779B97F4A7C15UL));
        return state;
    }

    /// <summary>Creates a generator seeded with <see cref="Mix"/>. The caller must dispose it.</summary>
    /// <param name="device">The device to draw on. The default is the CPU.</param>
    /// <param name="seed">The root seed.</param>
    /// <param name="words">What tells this use from another.</param>
    public static Generator Generator(Device? device, long seed, params ReadOnlySpan<long> words) => new(Mix(seed, words), device);

    private static ulong Finalise(ulong z)
    {
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL);
        z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EBUL);
        return z ^ (z >> 31);
    }
}
