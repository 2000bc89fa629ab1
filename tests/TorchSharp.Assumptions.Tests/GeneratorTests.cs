using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>The seed of a generator on the CPU.</summary>
public class GeneratorTests
{
    [Theory]
    [InlineData(1UL)]
    [InlineData(0x9E3779B9UL)]
    public void Only_the_lower_32_bits_of_the_seed_count(ulong seed)
    {
        Draw(seed | 0xABCD_0000_0000UL).Should().Equal(Draw(seed));
        Draw(seed + 1).Should().NotEqual(Draw(seed));
    }

    private static double[] Draw(ulong seed)
    {
        using var generator = new Generator(seed);
        using var x = randn([9], generator: generator);
        return Values.Of(x);
    }
}
