using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

public sealed class SeedSequenceTests
{
    [Fact]
    public void A_seed_alone_gives_the_first_output_of_SplitMix64()
    {
        SeedSequence.Mix(1234567).Should().Be(6457827717110365317UL);
        SeedSequence.Mix(0).Should().Be(16294208416658607535UL);
    }

    [Theory]
    [InlineData(0, new long[] { 0 }, 12035550249420947055UL)]
    [InlineData(0, new long[] { 1 }, 627405149472732430UL)]
    [InlineData(42, new long[] { 7 }, 1587005860896957696UL)]
    [InlineData(42, new long[] { 7, 3 }, 17680642119211242809UL)]
    [InlineData(42, new long[] { 3, 7 }, 12335244430711630163UL)]
    [InlineData(-1, new long[] { -1 }, 7136257342804621622UL)]
    [InlineData(long.MaxValue, new long[] { long.MinValue, 123456789 }, 8167076802881079387UL)]
    public void Seeds_are_the_same_for_ever(long seed, long[] words, ulong expected)
        => SeedSequence.Mix(seed, words).Should().Be(expected);

    [Fact]
    public void No_two_uses_share_a_seed()
    {
        var seen = new HashSet<ulong>();
        var count = 0;
        for (long seed = -5; seed < 45; seed++)
        {
            seen.Add(SeedSequence.Mix(seed));
            count++;
            for (long step = 0; step < 500; step++)
            {
                seen.Add(SeedSequence.Mix(seed, step));
                count++;
                for (long rank = 0; rank < 4; rank++)
                {
                    seen.Add(SeedSequence.Mix(seed, step, rank));
                    count++;
                }
            }
        }

        seen.Should().HaveCount(count);
    }

    [Fact]
    public void The_order_of_words_and_their_number_matter()
    {
        SeedSequence.Mix(1, 2, 3).Should().NotBe(SeedSequence.Mix(1, 3, 2));
        SeedSequence.Mix(1, 2).Should().NotBe(SeedSequence.Mix(2, 1));
        SeedSequence.Mix(1, 2).Should().NotBe(SeedSequence.Mix(1, 2, 0));
    }

    [Fact]
    public void Half_of_the_bits_change_with_any_bit_of_a_word()
    {
        var changed = 0;
        for (var bit = 0; bit < 64; bit++)
            changed += System.Numerics.BitOperations.PopCount(SeedSequence.Mix(7, 5) ^ SeedSequence.Mix(7, 5 ^ (1L << bit)));

        // 4096 fair coins: mean 2048, standard deviation 32.
        changed.Should().BeInRange(2048 - 128, 2048 + 128);
    }

    [Fact]
    public void A_generator_draws_the_same_for_the_same_use_and_otherwise_not()
    {
        static double[] Draw(params ReadOnlySpan<long> words)
        {
            using var generator = SeedSequence.Generator(null, 3, words);
            using var draw = torch.randn([4], dtype: torch.ScalarType.Float64, generator: generator);
            return draw.data<double>().ToArray();
        }

        Draw(1, 2).Should().Equal(Draw(1, 2));
        Draw(1, 2).Should().NotEqual(Draw(1, 3));
        Draw(1, 2).Should().NotEqual(Draw(2, 1));
    }
}
