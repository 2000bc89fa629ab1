using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>First values of weights. Random ones come from the global generator, as MT19937 gives them.</summary>
public class InitialisationTests
{
    // The first numbers in [0, 1) of MT19937 seeded with 0, computed apart from torch.
    private static readonly double[] Uniform =
    [
        0.49625658988952637, 0.7682217955589294, 0.08847743272781372, 0.13203048706054688, 0.30742281675338745,
        0.6340786814689636, 0.4900934100151062, 0.8964447379112244, 0.455627977848053, 0.6323062777519226,
    ];

    [Fact]
    public void A_linear_layer_is_uniform_within_one_over_the_root_of_its_inputs()
    {
        random.manual_seed(0);
        using var layer = nn.Linear(4, 2);
        layer.weight.ShouldBeNear(1e-7, [.. Uniform.Take(8).Select(u => u - 0.5)]);
        layer.bias!.ShouldBeNear(1e-7, [.. Uniform.Skip(8).Take(2).Select(u => u - 0.5)]);
    }

    [Fact]
    public void A_convolution_is_uniform_within_one_over_the_root_of_its_inputs()
    {
        random.manual_seed(0);
        using var layer = nn.Conv2d(1, 2, 2);
        layer.weight.ShouldBeNear(1e-7, [.. Uniform.Take(8).Select(u => u - 0.5)]);
        layer.bias!.ShouldBeNear(1e-7, [.. Uniform.Skip(8).Take(2).Select(u => u - 0.5)]);
    }

    [Theory]
    [InlineData(3, 5, 3)]
    [InlineData(16, 8, 1)]
    public void The_bounds_hold_and_are_nearly_reached(long inputs, long outputs, long kernel)
    {
        using var linear = nn.Linear(inputs * kernel * kernel, 100 * outputs);
        using var conv = nn.Conv2d(inputs, 100 * outputs, kernel);
        var bound = 1 / Math.Sqrt(inputs * kernel * kernel);

        foreach (var parameter in new[] { linear.weight, linear.bias!, conv.weight, conv.bias! })
        {
            var values = Values.Of(parameter);
            values.Max(Math.Abs).Should().BeInRange(0.9 * bound, bound * (1 + 1e-6));
            values.Min().Should().BeNegative();
        }
    }

    [Fact]
    public void An_embedding_is_normal()
    {
        random.manual_seed(1);
        using var layer = nn.Embedding(100, 100);
        var values = Values.Of(layer.parameters().Single());
        values.Average().Should().BeApproximately(0, 0.05);
        values.Average(v => v * v).Should().BeApproximately(1, 0.1);
    }

    [Fact]
    public void Initialisers_return_their_tensor_and_record_nothing()
    {
        using var weight = nn.Parameter(zeros([2, 2]));
        foreach (var initialise in new Func<Tensor>[]
        {
            () => nn.init.ones_(weight),
            () => nn.init.zeros_(weight),
            () => nn.init.constant_(weight, 0.5),
            () => nn.init.uniform_(weight, -1, 1),
            () => nn.init.normal_(weight, 0, 1),
            () => nn.init.kaiming_uniform_(weight, Math.Sqrt(5)),
            () => nn.init.xavier_uniform_(weight),
        })
        {
            Values.LiveTensors(() => initialise().Should().BeSameAs(weight)).Should().Be(0);
            weight.requires_grad.Should().BeTrue();
            weight.is_leaf.Should().BeTrue();
        }
    }

    [Fact]
    public void The_values_of_initialisers()
    {
        using var weight = zeros([2, 4]);
        nn.init.ones_(weight).ShouldHold(1, 1, 1, 1, 1, 1, 1, 1);
        nn.init.zeros_(weight).ShouldHold(0, 0, 0, 0, 0, 0, 0, 0);
        nn.init.constant_(weight, 0.5).ShouldHold(.5, .5, .5, .5, .5, .5, .5, .5);

        random.manual_seed(0);
        nn.init.uniform_(weight, -1, 3);
        weight.ShouldBeNear(1e-6, [.. Uniform.Take(8).Select(u => (4 * u) - 1)]);

        random.manual_seed(0);
        nn.init.kaiming_uniform_(weight, Math.Sqrt(5));
        weight.ShouldBeNear(1e-6, [.. Uniform.Take(8).Select(u => u - 0.5)]);

        random.manual_seed(0);
        nn.init.xavier_uniform_(weight);
        weight.ShouldBeNear(1e-6, [.. Uniform.Take(8).Select(u => (2 * u) - 1)]);
    }

    [Fact]
    public void Initialisers_ignore_the_generator_they_are_given()
    {
        using var weight = zeros([8]);
        using var generator = new Generator(99);

        random.manual_seed(0);
        nn.init.uniform_(weight, 0, 1, generator);

        weight.ShouldBeNear(1e-7, [.. Uniform.Take(8)]);
    }
}
