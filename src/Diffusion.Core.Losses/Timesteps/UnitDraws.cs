using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// A method for drawing a batch of numbers from [0, 1). Each number is uniformly distributed; the numbers of a batch may depend on
/// each other to cover the interval more evenly.
/// </summary>
public abstract class UnitDraws
{
    /// <summary>Draws the numbers of a batch.</summary>
    /// <param name="count">B, at least 1.</param>
    /// <param name="generator">The generator of all random numbers, on the CPU.</param>
    /// <returns>[B] numbers in [0, 1).</returns>
    public abstract double[] Draw(int count, Generator generator);

    /// <summary>Independent numbers.</summary>
    public static UnitDraws Independent { get; } = new IndependentDraws();

    /// <summary>
    /// Stratified sampling: the i-th number is drawn from the i-th of B intervals of equal length (stratified_uniform in k-diffusion).
    /// </summary>
    public static UnitDraws Stratified { get; } = new StratifiedDraws();

    /// <summary>
    /// <c>(u + i / B) mod 1</c> with one u for the whole batch: the low-discrepancy sampler of Kingma et al. 2021, "Variational
    /// Diffusion Models", appendix I.1.
    /// </summary>
    public static UnitDraws LowDiscrepancy { get; } = new LowDiscrepancyDraws();

    private static double[] Uniform(int count, Generator generator)
    {
        ArgumentNullException.ThrowIfNull(generator);
        using var drawn = rand([Guard.InRange(count, 1, int.MaxValue)], dtype: ScalarType.Float64, generator: generator);
        GC.KeepAlive(generator);
        return drawn.data<double>().ToArray();
    }

    // i + u may be rounded up to i + 1, which can lead to a result of 1, outside [0, 1).
    private static double BelowOne(double value) => Math.Min(value, Math.BitDecrement(1.0));

    private sealed class IndependentDraws : UnitDraws
    {
        public override double[] Draw(int count, Generator generator) => Uniform(count, generator);
    }

    private sealed class StratifiedDraws : UnitDraws
    {
        public override double[] Draw(int count, Generator generator)
        {
            var draws = Uniform(count, generator);
            for (var i = 0; i < draws.Length; i++)
                draws[i] = BelowOne((i + draws[i]) / count);
            return draws;
        }
    }

    private sealed class LowDiscrepancyDraws : UnitDraws
    {
        public override double[] Draw(int count, Generator generator)
        {
            Guard.InRange(count, 1, int.MaxValue);
            var first = Uniform(1, generator)[0];
            var draws = new double[count];
            for (var i = 0; i < draws.Length; i++)
            {
                var next = first + ((double)i / count);
                draws[i] = BelowOne(next >= 1.0 ? next - 1.0 : next);
            }

            return draws;
        }
    }
}
