using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Networks of bfloat16 whose norms keep parameters of float32.</summary>
public class PrecisionTests
{
    /// <summary>Small networks of every kind.</summary>
    public static TheoryData<string, Func<DenoisingNetwork>> Networks => new()
    {
        { "UNet", () => new UNet(new() { ImageSize = 8, Width = 8, Multipliers = [1, 2], AttentionResolutions = [4], ZeroOutput = false }) },
        {
            "UNet with scale and shift, and residual resampling",
            () => new UNet(new()
            {
                ImageSize = 8, Width = 8, Multipliers = [1, 2], ScaleShift = true, ResidualResampling = true, ZeroOutput = false,
            })
        },
        { "DiT", () => new DiT(new() { ImageSize = 8, Width = 8, Depth = 2, Heads = 1 }) },
        { "ViT", () => new ViTDenoiser(new() { ImageSize = 8, Width = 8, Depth = 2, Heads = 1 }) },
        { "UViT", () => new UViT(new() { ImageSize = 8, Width = 8, Depth = 3, Heads = 1 }) },
        { "Swin", () => new SwinDenoiser(new() { Width = 8, Depths = [2, 2], Heads = [1, 1], WindowSize = 2 }) },
    };

    [Theory]
    [MemberData(nameof(Networks))]
    public void A_network_answers_in_the_type_of_its_input_and_every_parameter_gets_a_gradient_of_its_own(
        string name, Func<DenoisingNetwork> make)
    {
        using var scope = NewDisposeScope();
        using var network = make();
        using var seed = new Generator(3);
        using (no_grad())
        {
            // Nothing stays zero, which many layers are at first.
            foreach (var parameter in network.parameters())
                parameter.add_(randn(parameter.shape, dtype: ScalarType.Float32, generator: seed).mul_(0.05));
        }

        var x = randn([2, 3, 8, 8], dtype: ScalarType.Float32, generator: seed);
        var t = tensor(new long[] { 3, 500 });
        var exact = network.Predict(x, t, null).detach();
        Lower(network);

        var low = network.Predict(x.to(ScalarType.BFloat16), t, null);
        low.to(ScalarType.Float32).square().mean().backward();

        low.dtype.Should().Be(ScalarType.BFloat16, name);
        RelativeErrorOf(low, exact).Should().BeLessThan(0.05, name);
        var kept = network.modules().OfType<IFullPrecisionModule>().SelectMany(module => module.FullPrecisionParameters).ToHashSet();
        foreach (var (key, parameter) in network.named_parameters())
        {
            parameter.dtype.Should().Be(kept.Contains(parameter) ? ScalarType.Float32 : ScalarType.BFloat16, key);
            if (parameter.grad is { } gradient)
                gradient.isfinite().all().item<bool>().Should().BeTrue(key);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_norm_of_a_lower_type_is_the_float32_norm_rounded_once(bool group)
    {
        using var scope = NewDisposeScope();
        using nn.Module<Tensor, Tensor> norm = group ? new GroupNormalization(2, 8) : new LayerNormalization(8);
        using var seed = new Generator(4);
        Tensor Draw(params long[] shape) => randn(shape, dtype: ScalarType.Float32, generator: seed);
        foreach (var parameter in norm.parameters())
        {
            using var guard = no_grad();
            parameter.copy_(Draw(8));
        }

        // Far from zero, where sums in bfloat16 would lose everything.
        var x = Draw(3, 8, 8).add(300).to(ScalarType.BFloat16);
        var expected = norm.call(x.to(ScalarType.Float32)).to(ScalarType.BFloat16);
        norm.call(x).eq(expected).all().item<bool>().Should().BeTrue();
    }

    [Fact]
    public void Norms_begin_with_a_scale_of_one_and_no_shift_under_the_usual_names()
    {
        using var group = new GroupNormalization(2, 4);
        using var layer = new LayerNormalization(4);
        using var plain = new LayerNormalization(4, scales: false);
        foreach (var norm in new nn.Module[] { group, layer })
        {
            norm.state_dict().Keys.Should().Equal("weight", "bias");
            norm.get_parameter("weight")!.data<float>().ToArray().Should().AllBeEquivalentTo(1f);
            norm.get_parameter("bias")!.data<float>().ToArray().Should().AllBeEquivalentTo(0f);
        }

        plain.parameters().Should().BeEmpty();
        ((Action)(() => new GroupNormalization(3, 4).Dispose())).Should().Throw<ArgumentException>().WithMessage("*4 channels, got 3*");
    }

    /// <summary>All to bfloat16, and back what its module wants in full precision.</summary>
    private static void Lower(nn.Module network)
    {
        network.to(ScalarType.BFloat16);
        foreach (var norm in network.modules().Where(module => module is IFullPrecisionModule))
            norm.to(ScalarType.Float32);
    }

    private static double RelativeErrorOf(Tensor low, Tensor exact)
        => low.to(ScalarType.Float32).sub(exact).norm().div(exact.norm()).item<float>();
}
