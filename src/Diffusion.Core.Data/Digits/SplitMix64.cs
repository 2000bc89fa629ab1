namespace Diffusion.Core.Data;

/// <summary>
/// A small random generator whose sequence is fixed by its definition, so that drawn data never changes with the runtime or the
/// machine: SplitMix64 (Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators").
/// </summary>
/// <param name="seed">Any 64 bits; different ones give unrelated sequences.</param>
public struct SplitMix64(ulong seed)
{
    private ulong _state = seed;

    /// <summary>64 uniform bits.</summary>
    public ulong NextBits()
    {
        _state = unchecked(_state + 0x9E3779B97F4A7C15UL);
        var z = _state;
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL);
        z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EBUL);
        return z ^ (z >> 31);
    }

    /// <summary>Uniform in [0, 1), a multiple of 2^-53.</summary>
    public double Uniform() => (NextBits() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform in [<paramref name="low"/>, <paramref name="high"/>).</summary>
    /// <param name="low">The lower end.</param>
    /// <param name="high">The upper end.</param>
    public double Uniform(double low, double high) => low + ((high - low) * Uniform());

    /// <summary>Uniform in 0..<paramref name="count"/>-1.</summary>
    /// <param name="count">At least 1.</param>
    public int Below(int count) => (int)Math.BigMul(NextBits(), (ulong)count, out _);

    /// <summary>
    /// Bell-shaped with mean 0 and standard deviation 1, never beyond 2 sqrt(3): a sum of four uniforms, exact in arithmetic alone.
    /// </summary>
    public double Bell() => (Uniform() + Uniform() + Uniform() + Uniform() - 2.0) * 1.7320508075688772;

    /// <summary>Two independent draws from N(0, 1), by Box and Muller 1958.</summary>
    public (double First, double Second) Normals()
    {
        var radius = Math.Sqrt(-2.0 * Math.Log(1.0 - Uniform()));
        var (sin, cos) = Math.SinCos(2.0 * Math.PI * Uniform());
        return (radius * cos, radius * sin);
    }
}
