using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Random draws from generators of one's own.</summary>
public class GeneratorTests
{
    private static readonly Dictionary<string, Func<Generator, Tensor>> All = new()
    {
        ["randn"] = g => randn([5, 7], generator: g),
        ["randn double"] = g => randn([40], dtype: ScalarType.Float64, device: CPU, generator: g),
        ["rand"] = g => rand([5, 7], generator: g),
        ["randint"] = g => randint(0, 1000, [40], generator: g),
        ["randperm"] = g => randperm(40, generator: g),
        ["normal_"] = g => zeros([40]).normal_(0, 1, g),
        ["uniform_"] = g => zeros([40]).uniform_(0, 1, g),
    };

    public static TheoryData<string> Draws => [.. All.Keys];

    [Theory]
    [MemberData(nameof(Draws))]
    public void The_same_seed_gives_the_same_draws(string name)
    {
        using var scope = NewDisposeScope();
        using var first = new Generator(42);
        using var second = new Generator(42, CPU);
        Values.Of(All[name](first)).Should().Equal(Values.Of(All[name](second)));
    }

    [Theory]
    [MemberData(nameof(Draws))]
    public void Another_seed_gives_other_draws(string name)
    {
        using var scope = NewDisposeScope();
        using var first = new Generator(42);
        using var second = new Generator(43);
        Values.Of(All[name](first)).Should().NotEqual(Values.Of(All[name](second)));
    }

    [Theory]
    [MemberData(nameof(Draws))]
    public void A_draw_advances_the_generator(string name)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(42);
        Values.Of(All[name](generator)).Should().NotEqual(Values.Of(All[name](generator)));
    }

    [Theory]
    [MemberData(nameof(Draws))]
    public void A_draw_neither_uses_nor_moves_the_global_generator(string name)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(42);
        random.manual_seed(1);
        var expected = Values.Of(randn([5]));
        random.manual_seed(1);

        _ = All[name](generator);

        Values.Of(randn([5])).Should().Equal(expected);
    }

    [Fact]
    public void A_generator_knows_its_device_and_can_be_disposed_twice()
    {
        var generator = new Generator(1);
        generator.device.type.Should().Be(DeviceType.CPU);
        generator.Dispose();
        generator.Dispose();
    }

    [Theory]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(33)]
    public void Normal_draws_of_any_number_are_the_same_again(int count)
    {
        // Sixteen and more are drawn in blocks; the last block overlaps the one before.
        using var scope = NewDisposeScope();
        using var first = new Generator(6);
        using var second = new Generator(6);
        var x = Values.Of(randn([count], generator: first));
        x.Should().Equal(Values.Of(randn([count], generator: second)));
        x.Distinct().Should().HaveCount(count);
    }

    [Fact]
    public void Seeding_again_starts_over()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        var first = Values.Of(randn([9], generator: generator));
        generator.manual_seed(5).Should().BeSameAs(generator);
        Values.Of(randn([9], generator: generator)).Should().Equal(first);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(1UL)]
    [InlineData(0xFFFFFFFFUL)]
    [InlineData(ulong.MaxValue)]
    [InlineData(0x9E3779B97F4A7C15UL)]
    public void Every_64_bit_seed_is_taken(ulong seed)
    {
        using var scope = NewDisposeScope();
        using var first = new Generator(seed);
        using var second = new Generator(seed);
        Values.Of(randn([9], generator: first)).Should().Equal(Values.Of(randn([9], generator: second)));
        first.initial_seed().Should().Be(unchecked((long)seed));
    }

    [Fact]
    public void A_state_can_be_saved_and_brought_back()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        _ = randn([3], generator: generator);
        var state = generator.get_state();
        state.dtype.Should().Be(ScalarType.Byte);
        var expected = Values.Of(randn([9], generator: generator));

        using var other = new Generator(77);
        other.set_state(state);

        Values.Of(randn([9], generator: other)).Should().Equal(expected);
    }

    [Fact]
    public void Draws_are_those_of_the_mersenne_twister()
    {
        // Computed apart from torch with MT19937 seeded with 0: 32 bits modulo the range, 24 or 53 bits as a fraction, the transform of
        // Box and Muller with the radius from the second draw, and Fisher-Yates. The same in every version and on every machine.
        using var scope = NewDisposeScope();
        using var generator = new Generator(0);
        randint(0, 1000000, [4], generator: generator).ShouldHold(136044, 248239, 714933, 93760);
        generator.manual_seed(0);
        rand([3], generator: generator).ShouldHold(0.49625658988952637, 0.7682217955589294, 0.08847743272781372);
        generator.manual_seed(0);
        rand([3], dtype: ScalarType.Float64, generator: generator).ShouldHold(0.9700530018065531, 0.707819864399788, 0.45938294312745087);
        generator.manual_seed(0);
        randn([3], dtype: ScalarType.Float64, generator: generator)
            .ShouldBeNear(1e-15, 1.5409961082440433, -0.2934289057609464, -2.1787893820745574);
        generator.manual_seed(0);
        randperm(8, generator: generator).ShouldHold(4, 0, 7, 3, 2, 5, 1, 6);
    }

    [Fact]
    public void Uniform_draws_lie_in_their_half_open_interval()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(9);
        Values.Of(rand([10000], generator: generator)).Should().OnlyContain(v => v >= 0 && v < 1);
        var integers = randint(3, 6, [10000], generator: generator);
        integers.dtype.Should().Be(ScalarType.Int64);
        Values.Of(integers).Distinct().Order().Should().Equal(3, 4, 5);
        Values.Of(randperm(100, generator: generator)).Order().Should().Equal(Enumerable.Range(0, 100).Select(i => (double)i));
    }

    [Fact]
    public void Normal_draws_have_their_moments()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(9);
        var x = Values.Of(randn([40000], generator: generator));
        x.Average().Should().BeApproximately(0, 0.02);
        x.Average(v => v * v).Should().BeApproximately(1, 0.03);
        x.Average(v => v * v * v * v).Should().BeApproximately(3, 0.25);
    }

    [Fact]
    public void The_global_generator_follows_its_seed()
    {
        using var scope = NewDisposeScope();
        manual_seed(7);
        var first = Values.Of(randn([5]));
        manual_seed(7);
        Values.Of(randn([5])).Should().Equal(first);
    }
}
