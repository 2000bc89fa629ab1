using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Networks with checkpoints and without: the same weights, masks and answers.</summary>
public class CheckpointedNetworkTests
{
    // A gradient of several terms is added up in another order, which is worth a few roundings of float32.
    private const double Rounding = 2e-6;

    [Fact]
    public void A_UNet_with_attention_and_dropout_gives_the_same()
        => ShouldAgree(checkpoints => new UNet(new UNetOptions
        {
            ImageSize = 8,
            Channels = 2,
            Width = 8,
            Multipliers = [1, 2],
            LayersPerBlock = 1,
            ZeroOutput = false,
            AttentionResolutions = [4],
            Dropout = 0.2,
            UseGradientCheckpointing = checkpoints,
        }));

    [Fact]
    public void A_UNet_that_resamples_odd_sizes_in_residual_blocks_gives_the_same()
        => ShouldAgree(
            checkpoints => new UNet(new UNetOptions
            {
                ImageSize = 9,
                Channels = 2,
                Width = 8,
                Multipliers = [1, 1, 2],
                LayersPerBlock = 1,
                ZeroOutput = false,
                ResidualResampling = true,
                UseGradientCheckpointing = checkpoints,
            }),
            9);

    [Fact]
    public void Transformers_give_the_same()
    {
        ShouldAgree(checkpoints => new DiT(new DiTOptions
        {
            ImageSize = 8,
            Channels = 2,
            Width = 16,
            Heads = 2,
            Depth = 3,
            Dropout = 0.1,
            UseGradientCheckpointing = checkpoints,
        }));
        ShouldAgree(checkpoints => new UViT(new UViTOptions
        {
            ImageSize = 8,
            Channels = 2,
            Width = 16,
            Heads = 2,
            Depth = 3,
            Dropout = 0.1,
            UseGradientCheckpointing = checkpoints,
        }));
        ShouldAgree(checkpoints => new ViTDenoiser(new ViTDenoiserOptions
        {
            ImageSize = 8,
            Channels = 2,
            Width = 16,
            Heads = 2,
            Depth = 3,
            Dropout = 0.1,
            UseGradientCheckpointing = checkpoints,
        }));
        ShouldAgree(checkpoints => new SwinDenoiser(new SwinDenoiserOptions
        {
            Channels = 2,
            Width = 8,
            Heads = [2, 2],
            Depths = [2, 2],
            WindowSize = 2,
            Dropout = 0.1,
            UseGradientCheckpointing = checkpoints,
        }));
    }

    private static void ShouldAgree(Func<bool, DenoisingNetwork> make, long side = 8)
    {
        using var scope = NewDisposeScope();
        var (plain, checkpointed) = (Run(make, false, side), Run(make, true, side));
        checkpointed["answer"].Values().Should().Equal(plain["answer"].Values());
        foreach (var (name, gradient) in plain)
        {
            var scale = Math.Max(gradient.abs().max().item<double>(), 1e-3);
            checkpointed[name].sub(gradient).abs().max().item<double>().Should().BeLessThan(Rounding * scale, name);
        }
    }

    private static Dictionary<string, Tensor> Run(Func<bool, DenoisingNetwork> make, bool checkpoints, long side)
    {
        manual_seed(5);
        using var network = make(checkpoints);
        using (no_grad())
        {
            // Blocks that start as the identity would hide what they compute.
            foreach (var parameter in network.parameters())
                parameter.add_(randn(parameter.shape).mul_(0.05));
        }

        using var generator = new Generator(2);
        using var use = TrainingRandom.Use(generator);
        var x = randn([2, 2, side, side]).requires_grad_();
        var answer = network.Predict(x, tensor(new long[] { 3, 700 }));
        answer.sin().mean().backward();
        var result = network.named_parameters().Where(p => !ReferenceEquals(p.parameter.grad, null))
            .ToDictionary(p => p.name, p => p.parameter.grad!.to(ScalarType.Float64));
        result.Should().NotBeEmpty();
        result["x"] = x.grad!.to(ScalarType.Float64);
        result["answer"] = answer.detach().to(ScalarType.Float64);
        return result;
    }
}
