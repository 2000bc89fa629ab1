using static TorchSharp.torch;

namespace TorchSharp.Assumptions.Tests;

/// <summary>First values of parameters.</summary>
public class InitialisationTests
{
    [Fact]
    public void A_group_norm_starts_from_uninitialised_memory()
    {
        const long Channels = 4096;
        var foreign = 0;
        for (var attempt = 0; attempt < 20; attempt++)
        {
            // The allocator hands out the memory that these two give back.
            full([Channels], 7f).Dispose();
            full([Channels], 7f).Dispose();
            using var norm = nn.GroupNorm(1, Channels);
            foreign += Values.Of(norm.weight).Count(value => value != 1.0);
        }

        foreign.Should().BePositive("PyTorch's GroupNorm starts with a weight of ones, TorchSharp's with whatever is there");
    }

    [Fact]
    public void Functions_of_nn_init_ignore_the_generator()
    {
        using var weight = zeros([8]);
        using var generator = new Generator(99);

        random.manual_seed(0);
        nn.init.uniform_(weight, 0, 1, generator);
        var first = Values.Of(weight);
        random.manual_seed(0);
        nn.init.uniform_(weight, 0, 1, generator);

        weight.ShouldHold(first);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Methods_of_the_tensor_use_the_generator(bool normal)
    {
        double[] Draw(long globalSeed)
        {
            random.manual_seed(globalSeed);
            using var generator = new Generator(99);
            using var x = zeros([8]);
            _ = normal ? x.normal_(0, 1, generator) : x.uniform_(0, 1, generator);
            return Values.Of(x);
        }

        Draw(0).Should().Equal(Draw(1));
    }
}
