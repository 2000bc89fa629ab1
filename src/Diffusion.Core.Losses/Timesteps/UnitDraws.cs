using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>How a batch of numbers is drawn from [0, 1), each of them evenly, together perhaps with less chance than alone.</summary>
public abstract class UnitDraws
{
    /// <summary>The draws of a batch.</summary>
    /// <param name="count">B, at least 1.</param>
    /// <param name="generator">A generator on the CPU; every draw comes from it.</param>
    /// <returns>[B] numbers in [0, 1).</returns>
    public abstract double[] Draw(int count, Generator generator);

    /// <summary>Each number by itself.</summary>
    public static UnitDraws Independent { get; } = new IndependentDraws();

    /// <summary>One number in each of B equal parts, the i-th in the i-th (k-diffusion's stratified_uniform).</summary>
    public static UnitDraws Stratified { get; } = new StratifiedDraws();

    /// <summary>
    /// <c>(u + i / B) mod 1</c> with one u for the batch: the low-discrepancy sampler of Kingma et al. 2021, "Variational Diffusion
    /// Models", appendix I.1.
    /// </summary>
    public static UnitDraws LowDiscrepancy { get; } = new LowDiscrepancyDraws();

    private static double[] Uniform(int count, Generator generator)
    {
        ArgumentNullException.ThrowIfNull(generator);
        using var drawn = rand([Guard.InRange(count, 1, int.MaxValue)], dtype: ScalarType.Float64, generator: generator);
        GC.KeepAlive(generator);
        return drawn.data<double>().ToArray();
    }

    // i + u may round up to i + 1 and so out of [0, 1).
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
