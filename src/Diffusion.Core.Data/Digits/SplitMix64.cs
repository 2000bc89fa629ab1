namespace Diffusion.Core.Data;

/// <summary>
/// The random number generator SplitMix64 (Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators"). The bits depend
/// on the seed only, and not on the version of .NET or the machine, so that generated data never changes.
/// </summary>
/// <param name="seed">The seed, which may be any value. Different seeds start at different positions in one cycle of 2^64 values.</param>
public struct SplitMix64(ulong seed)
{
    private ulong _state = seed;

    /// <summary>Returns 64 uniform random bits.</summary>
    public ulong NextBits()
    {
        _state = unchecked(_state + 0x9E3779B97F4A7C15UL);
        var z = _state;
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL);
        z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EBUL);
        return z ^ (z >> 31);
    }

    /// <summary>Returns a uniform number in [0, 1), a multiple of 2^-53.</summary>
    public double Uniform() => (NextBits() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Returns a uniform number in [<paramref name="low"/>, <paramref name="high"/>).</summary>
    /// <param name="low">The lower bound, inclusive.</param>
    /// <param name="high">The upper bound, exclusive.</param>
    public double Uniform(double low, double high) => low + ((high - low) * Uniform());

    /// <summary>Returns a uniform integer in 0..<paramref name="count"/>-1.</summary>
    /// <param name="count">The number of possible values, at least 1.</param>
    public int Below(int count) => (int)Math.BigMul(NextBits(), (ulong)count, out _);

    /// <summary>
    /// Returns a number from a bell-shaped distribution with mean 0 and standard deviation 1, within [-2 sqrt(3), 2 sqrt(3)]: a scaled sum
    /// of four uniform numbers. Only basic arithmetic is used, so that the result is the same on every machine.
    /// </summary>
    public double Bell() => (Uniform() + Uniform() + Uniform() + Uniform() - 2.0) * 1.7320508075688772;

    /// <summary>Returns two independent numbers from N(0, 1), by the method of Box and Muller 1958.</summary>
    public (double First, double Second) Normals()
    {
        var radius = Math.Sqrt(-2.0 * Math.Log(1.0 - Uniform()));
        var (sin, cos) = Math.SinCos(2.0 * Math.PI * Uniform());
        return (radius * cos, radius * sin);
    }
}
