using Diffusion.Core.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Networks over images keep the layout that input and weights have.</summary>
public class ChannelsLastTests
{
    /// <summary>U-Nets with every kind of layer that moves pixels.</summary>
    public static TheoryData<string, UNetLayout> Layouts => new()
    {
        { "attention", new UNetOptions { ImageSize = 8, Width = 8, Multipliers = [1, 2], AttentionResolutions = [4], ZeroOutput = false }.ToLayout() },
        {
            "residual resampling",
            new UNetOptions { ImageSize = 8, Width = 8, Multipliers = [1, 2], ResidualResampling = true, ScaleShift = true, ZeroOutput = false }.ToLayout()
        },
        {
            "spatial transformer",
            new()
            {
                ImageSize = 8,
                Levels =
                [
                    new UNetLevel
                    {
                        Width = 8, Layers = 1, Down = new UNetBlockOptions { Attention = new SpatialTransformerOptions { ContextWidth = 4, Heads = 2 } },
                    },
                ],
                ZeroOutput = false,
            }
        },
    };

    [Fact]
    public void Measuring_leaves_the_network_as_it_was()
    {
        using var scope = NewDisposeScope();
        using var network = new UNet(new UNetOptions { ImageSize = 8, Width = 8, Multipliers = [1, 2] });
        using var x = randn(2, 3, 8, 8);
        using var t = tensor(new long[] { 3, 500 });
        var before = network.state_dict().ToDictionary(entry => entry.Key, entry => entry.Value.detach().clone());
        var layouts = new HashSet<bool>();
        network.modules().OfType<Convolution>().First().register_forward_hook((_, input, answer) =>
        {
            layouts.Add(IsLast(input));
            return answer;
        });

        // The first answer of a network makes tables that it keeps.
        network.call(x, t, null).Dispose();
        layouts.Clear();
        LiveTensors.Change(() => ChannelsLast.IsFaster(network, x, t, repeats: 1)).Should().Be(0);

        layouts.Should().BeEquivalentTo([true, false], "both were tried");
        foreach (var (name, parameter) in network.named_parameters())
        {
            parameter.sub(before[name]).abs().max().item<float>().Should().Be(0, name);
            parameter.is_contiguous().Should().BeTrue(name);
            parameter.grad.Should().BeNull(name);
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Every_wide_convolution_gives_its_input_s_layout_and_results_are_the_same(string name, UNetLayout layout)
    {
        using var scope = NewDisposeScope();
        using var network = new UNet(layout);
        using var seed = new Generator(5);
        var x = randn([2, 3, 8, 8], dtype: ScalarType.Float32, generator: seed);
        var t = tensor(new long[] { 3, 500 });
        var condition = Condition.Create(encoderHiddenStates: randn([2, 5, 4], dtype: ScalarType.Float32, generator: seed));
        if (name != "spatial transformer")
            condition = null;
        var layouts = new List<bool>();
        foreach (var layer in network.modules().OfType<Convolution>().Where(layer => layer.weight.shape[2] > 1))
        {
            layer.register_forward_hook((_, _, answer) =>
            {
                layouts.Add(IsLast(answer));
                return answer;
            });
        }

        var (plain, gradients) = Run(network, x, t, condition);
        layouts.Should().NotContain(true, "rows stay side by side where they were");
        layouts.Clear();
        Turn(network);
        var (last, turned) = Run(network, ChannelsLast.Of(x), t, condition);

        layouts.Should().NotBeEmpty().And.NotContain(false);
        IsLast(last).Should().BeTrue();
        Norm(last.sub(plain)).Should().BeLessThan(1e-5 * Norm(plain));

        // A gradient that is zero but for rounding, as a key's bias has, is measured against the others.
        var largest = gradients.Values.Max(Norm);
        foreach (var (key, gradient) in turned)
            Norm(gradient.sub(gradients[key])).Should().BeLessThan(1e-5 * (Norm(gradient) + largest), key);
    }

    [Theory]
    [InlineData(new long[] { 2, 3, 5 })]
    [InlineData(new long[] { 2, 3, 4, 5 })]
    [InlineData(new long[] { 2, 3, 4, 5, 6 })]
    public void The_helper_moves_memory_and_no_value(long[] shape)
    {
        using var scope = NewDisposeScope();
        using var seed = new Generator(6);
        var x = randn(shape, generator: seed);
        var last = ChannelsLast.Of(x);
        last.shape.Should().Equal(shape);
        last.stride()[1].Should().Be(1);
        last.eq(x).all().item<bool>().Should().BeTrue();
        LiveTensors.Change(() => ChannelsLast.Of(x).Dispose()).Should().Be(0);
        ((Action)(() => ChannelsLast.Of(x.view(-1)))).Should().Throw<ArgumentException>();
    }

    private static (Tensor Answer, Dictionary<string, Tensor> Gradients) Run(UNet network, Tensor x, Tensor t, Condition? condition)
    {
        foreach (var parameter in network.parameters())
            parameter.grad = null;
        var answer = network.Predict(x, t, condition);
        answer.square().sum().backward();
        return (answer.detach(), network.named_parameters().Where(entry => entry.parameter.grad is not null)
            .ToDictionary(entry => entry.name, entry => entry.parameter.grad!.detach()));
    }

    /// <summary>Weights become views of one flat buffer each, as a trainer keeps them.</summary>
    private static void Turn(UNet network)
    {
        using var guard = no_grad();
        foreach (var parameter in network.parameters().Where(parameter => parameter.dim() == 4))
        {
            var (o, i, height, width) = (parameter.shape[0], parameter.shape[1], parameter.shape[2], parameter.shape[3]);
            var flat = parameter.permute(0, 2, 3, 1).reshape(-1);
            parameter.set_(flat.view(o, height, width, i).permute(0, 3, 1, 2));
        }
    }

    // One pixel or one channel lies both ways.
    private static bool IsLast(Tensor x) => x.shape[1] == 1 || x.stride()[1] == 1;

    private static double Norm(Tensor x) => x.norm().item<float>();
}
