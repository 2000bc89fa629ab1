using Diffusion.Core.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom level, layer and condition in a U-Net.</summary>
public class OwnUNetBlockTests
{
    [Fact]
    public void A_network_has_custom_blocks_layers_and_conditions()
    {
        using var scope = NewDisposeScope();
        using var unet = new UNet(new UNetLayout
        {
            Channels = 1,
            Levels =
            [
                new UNetLevel { Width = 8, Layers = 1, Down = new PlainLevel() },
                new UNetLevel { Width = 8, Layers = 1, Down = new UNetBlockOptions { Attention = new Gate() } },
            ],
            AddedEmbedding = UNetConditioning.Of((width, _, _) =>
            {
                var linear = nn.Linear(1, width);
                return new(linear, (condition, like) =>
                {
                    using var column = condition!.Labels!.to(like.dtype).unsqueeze(1);
                    return linear.call(column);
                });
            }),
            ZeroOutput = false,
        });
        using var condition = Condition.OfLabels([3, 4]);
        using var other = Condition.OfLabels([3, 5]);
        var (x, t) = (randn(2, 1, 7, 6), tensor(new long[] { 1, 2 }));

        var output = unet.Predict(x, t, condition);
        output.pow(2).sum().backward();

        output.shape.Should().Equal(2, 1, 7, 6);
        unet.state_dict().Keys.Should().Contain(
            ["down_blocks.0.conv.weight", "up_blocks.1.conv.weight", "down_blocks.1.attentions.0.gain", "add_embedding.weight"]);
        unet.parameters().Should().OnlyContain(parameter => parameter.grad!.isfinite().all().item<bool>());
        var change = unet.Predict(x, t, other).sub(output);
        change[0].abs().max().item<float>().Should().BeLessThan(1e-5f);
        change[1].abs().max().item<float>().Should().BeGreaterThan(1e-5f);
    }

    /// <summary>One convolution a level, and no residual blocks at all.</summary>
    private sealed class PlainLevel : IUNetBlockOptions
    {
        public UNetBlock Build(UNetPlace place) => place.Direction == UNetDirection.Down ? new Down(place) : new Up(place);

        private sealed class Down : UNetBlock
        {
            private readonly Conv2d _convolution;

            public Down(UNetPlace place)
                : base(nameof(Down))
                => register_module("conv", _convolution = nn.Conv2d(place.Inputs, place.Width, 3L, stride: 2L, padding: 1L));

            public override Tensor Forward(Tensor x, UNetContext context)
            {
                var smaller = _convolution.call(x);
                context.Skips.Push(smaller);
                return smaller;
            }
        }

        private sealed class Up : UNetBlock
        {
            private readonly Conv2d _convolution;

            public Up(UNetPlace place)
                : base(nameof(Up))
                => register_module("conv", _convolution = nn.Conv2d(place.Inputs + place.WidthAbove, place.Width, 3L, padding: 1L));

            public override Tensor Forward(Tensor x, UNetContext context)
            {
                using var skip = context.Skips.Pop();
                using var larger = Resample.Nearest(x, skip.shape[2..]);
                using var joined = cat([larger, skip], 1);
                return _convolution.call(joined);
            }
        }
    }

    /// <summary>A learned gain in place of attention.</summary>
    private sealed class Gate : IUNetLayerOptions
    {
        public IUNetLayer Build(UNetPlace place) => new Layer(place.Width);

        private sealed class Layer : nn.Module<Tensor, Tensor>, IUNetLayer
        {
            private readonly Parameter _gain;

            public Layer(int width)
                : base(nameof(Layer))
                => register_parameter("gain", _gain = nn.Parameter(ones(width, 1, 1)));

            public Tensor Forward(Tensor x, UNetContext context) => call(x);

            public override Tensor forward(Tensor x) => x.mul(_gain);

            protected override void RegisterComponents()
            {
            }
        }
    }
}
