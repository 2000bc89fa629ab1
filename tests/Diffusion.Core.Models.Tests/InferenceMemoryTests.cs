using Diffusion.Core.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Without gradients a network keeps what a layer made only until the next one has read it.</summary>
public class InferenceMemoryTests
{
    /// <summary>Networks by depth.</summary>
    public static TheoryData<string, Func<int, DenoisingNetwork>> Networks => new()
    {
        { "DiT", depth => new DiT(new() { ImageSize = 8, Width = 8, Depth = depth, Heads = 1 }) },
        { "ViT", depth => new ViTDenoiser(new() { ImageSize = 8, Width = 8, Depth = depth, Heads = 1 }) },
        {
            "Swin",
            depth => new SwinDenoiser(new()
            {
                Width = 8, Depths = [depth, depth], Heads = [1, 1], WindowSize = 2,
            })
        },
        {
            "SpatialTransformer",
            depth => new UNet(new UNetLayout
            {
                Levels =
                [
                    new UNetLevel
                    {
                        Width = 8,
                        Layers = 1,
                        Down = new UNetBlockOptions { Attention = new SpatialTransformerOptions { ContextWidth = 4, Heads = 1, Layers = depth } },
                    },
                ],
            })
        },
        {
            "KBlock",
            depth => new UNet(new UNetLayout
            {
                Levels = [new UNetLevel { Width = 8, Layers = 1 + depth, Down = new KBlockOptions { GroupSize = 4 } }],
            })
        },
    };

    [Theory]
    [MemberData(nameof(Networks))]
    public void The_most_tensors_at_once_do_not_depend_on_the_depth(string name, Func<int, DenoisingNetwork> make)
        => Peak(make, 6).Should().Be(Peak(make, 2), name);

    private static long Peak(Func<int, DenoisingNetwork> make, int depth)
    {
        var peak = 0L;
        using var network = make(depth);
        foreach (var layer in network.modules().OfType<Linear>())
        {
            layer.register_forward_hook((_, _, answer) =>
            {
                peak = Math.Max(peak, Tensor.TotalCount);
                return answer;
            });
        }

        network.eval();
        using var guard = no_grad();
        using var scope = NewDisposeScope();
        var (x, t) = (zeros(1, 3, 8, 8), ones(1));
        var condition = Condition.Create(encoderHiddenStates: zeros(1, 2, 4));

        // Once for the tables that a network keeps.
        network.Predict(x, t, condition);
        peak = 0;
        return LiveTensors.Change(() =>
        {
            var before = Tensor.TotalCount;
            network.Predict(x, t, condition).Dispose();
            peak -= before;
        }) + peak;
    }
}
