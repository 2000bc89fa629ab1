using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Sizes, first values and options of the transformers.</summary>
public class TransformerOptionsTests
{
    private static readonly DiTOptions SmallDiT = new() { ImageSize = 4, Channels = 1, Width = 8, Depth = 2, Heads = 2 };
    private static readonly UViTOptions SmallUViT = new() { ImageSize = 4, Channels = 1, Width = 8, Depth = 3, Heads = 2 };
    private static readonly ViTDenoiserOptions SmallViT = new() { ImageSize = 4, Channels = 1, Width = 8, Depth = 2, Heads = 2 };
    private static readonly SwinDenoiserOptions SmallSwin = new() { Channels = 1, Width = 8, Depths = [1, 2], Heads = [2, 4] };

    /// <summary>What diffusers' DiTTransformer2DModel counts for 1000 classes: as it is, and with one embedding instead of many.</summary>
    public static TheoryData<string, int, long, long> PublishedSizes => new()
    {
        { "S", 2, 39_805_088, 32_865_056 },
        { "S", 4, 39_860_480, 32_920_448 },
        { "S", 8, 40_082_048, 33_142_016 },
        { "B", 2, 147_439_904, 130_315_808 },
        { "B", 4, 147_550_592, 130_426_496 },
        { "B", 8, 147_993_344, 130_869_248 },
        { "L", 2, 511_609_888, 457_840_672 },
        { "XL", 2, 749_826_464, 674_834_720 },
    };

    [Theory]
    [MemberData(nameof(PublishedSizes))]
    public void The_named_sizes_of_DiT_have_the_parameters_of_the_paper(string size, int patchSize, long perBlock, long shared)
    {
        var options = size switch
        {
            "S" => DiTOptions.Small(patchSize),
            "B" => DiTOptions.Base(patchSize),
            "L" => DiTOptions.Large(patchSize),
            _ => DiTOptions.ExtraLarge(patchSize),
        };

        options.CountParameters().Should().Be(shared);
        (options with { SharedEmbedding = false }).CountParameters().Should().Be(perBlock);
    }

    [Theory]
    [InlineData(false, false, false, false)]
    [InlineData(true, true, true, true)]
    [InlineData(true, false, true, false)]
    public void The_count_from_the_sizes_is_the_count_of_the_weights(bool shared, bool told, bool affine, bool gated)
    {
        var options = SmallDiT with
        {
            SharedEmbedding = shared,
            NormAffine = affine,
            AttentionBias = !affine,
            Classes = told ? 5 : null,
            VectorWidth = told ? 3 : null,
            LabelDropout = gated ? 0 : 0.1,
            Activation = gated ? Activation.GeGlu : null,
            FeedForwardRatio = 3,
            OutChannels = 2,
        };
        using var network = new DiT(options);

        options.CountParameters().Should().Be(ModuleWeights.Count(network));
    }

    [Fact]
    public void The_other_networks_have_the_documented_parameters()
    {
        using var small = new UViT(UViTOptions.Small);
        using var vit = new ViTDenoiser(new ViTDenoiserOptions());
        using var swin = new SwinDenoiser(new SwinDenoiserOptions());

        ModuleWeights.Count(small).Should().Be(44_255_328);
        ModuleWeights.Count(vit).Should().Be(21_648_780);
        ModuleWeights.Count(swin).Should().Be(22_003_896);
    }

    [Fact]
    public void DiT_and_Swin_and_ViT_first_predict_zero_and_can_learn()
    {
        using var scope = NewDisposeScope();
        foreach (var (network, last) in new (DenoisingNetwork, string)[]
        {
            (new DiT(SmallDiT), "proj_out_2.weight"),
            (new SwinDenoiser(SmallSwin), "proj_out_2.weight"),
            (new ViTDenoiser(SmallViT), "proj_out.weight"),
        })
        {
            using var owner = network;
            var output = network.Predict(randn(2, 1, 4, 4), tensor(new long[] { 3, 900 }));
            output.sub(1).pow(2).mean().backward();

            output.Values().Should().OnlyContain(value => value == 0);
            network.get_parameter(last)!.grad!.abs().max().item<float>().Should().BePositive();
        }
    }

    [Fact]
    public void Every_modulation_begins_at_zero_and_every_other_layer_does_not()
    {
        using var dit = new DiT(SmallDiT with { Classes = 2 });
        using var swin = new SwinDenoiser(SmallSwin with { Classes = 2 });

        foreach (var (name, parameter) in dit.named_parameters().Concat(swin.named_parameters()))
        {
            var zero = name.EndsWith("bias", StringComparison.Ordinal)
                || name.EndsWith("norm1.linear.weight", StringComparison.Ordinal)
                || name.StartsWith("proj_out", StringComparison.Ordinal);
            (parameter.abs().max().item<float>() == 0).Should().Be(zero, name);
        }
    }

    [Fact]
    public void Initial_weights_have_the_spread_of_the_papers()
    {
        using var scope = NewDisposeScope();
        random.manual_seed(1);
        using var dit = new DiT(new DiTOptions { ImageSize = 16, Width = 96, Depth = 1, Heads = 2, Classes = 200, PatchSize = 4 });
        using var uvit = new UViT(new UViTOptions { ImageSize = 16, Channels = 3, Width = 96, Depth = 1, Heads = 2, PatchSize = 4 });
        double Deviation(nn.Module network, string name) => Math.Sqrt(network.get_parameter(name)!.pow(2).mean().item<float>());
        double Bound(nn.Module network, string name) => network.get_parameter(name)!.abs().max().item<float>();
        static double Xavier(double inputs, double outputs) => Math.Sqrt(6 / (inputs + outputs));

        Bound(dit, "transformer_blocks.0.attn1.to_q.weight").Should().BeInRange(0.99 * Xavier(96, 96), Xavier(96, 96));
        Bound(dit, "transformer_blocks.0.ff.net.0.proj.weight").Should().BeInRange(0.99 * Xavier(96, 384), Xavier(96, 384));
        Bound(dit, "pos_embed.proj.weight").Should().BeInRange(0.99 * Xavier(48, 96), Xavier(48, 96));
        foreach (var part in new[] { "timestep_embedder.linear_1", "timestep_embedder.linear_2", "class_embedder.embedding_table" })
            Deviation(dit, $"transformer_blocks.0.norm1.emb.{part}.weight").Should().BeApproximately(0.02, 0.001, part);
        Deviation(uvit, "mid_block.ff.net.2.weight").Should().BeApproximately(0.02, 0.001);
        Deviation(uvit, "proj_out.weight").Should().BeApproximately(0.02, 0.001);
        Deviation(uvit, "pos_embed.weight").Should().BeApproximately(0.02, 0.002);
    }

    [Fact]
    public void The_null_label_is_one_beyond_the_classes_where_labels_are_dropped()
    {
        (SmallDiT with { Classes = 10 }).NullLabel.Should().Be(10);
        (SmallDiT with { Classes = 10, LabelDropout = 0 }).NullLabel.Should().BeNull();
        SmallDiT.NullLabel.Should().BeNull();
    }

    [Fact]
    public void Swin_takes_images_of_any_size()
    {
        using var scope = NewDisposeScope();
        using var network = new SwinDenoiser(SmallSwin);
        foreach (var (height, width) in new[] { (1, 1), (5, 13), (32, 8), (17, 18) })
            network.Predict(randn(1, 1, height, width), tensor(new long[] { 4 })).shape.Should().Equal(1, 1, height, width);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Options_that_do_not_fit_are_refused()
    {
        Refusal.Expect(() => new DiT(null!), "*options*");
        Refusal.Expect(() => new DiT(SmallDiT with { Channels = 0 }), "*Channels*greater than 0*0*");
        Refusal.Expect(() => new DiT(SmallDiT with { OutChannels = -1 }), "*OutChannels*greater than 0*-1*");
        Refusal.Expect(() => new DiT(SmallDiT with { PatchSize = 0 }), "*PatchSize*greater than 0*0*");
        Refusal.Expect(() => new DiT(SmallDiT with { PatchSize = 3 }), "*ImageSize*multiple of the patch size 3*4*");
        Refusal.Expect(() => new DiT(SmallDiT with { Heads = 3 }), "*Heads*divide the width 8*3*");
        Refusal.Expect(() => new DiT(SmallDiT with { Width = 6 }), "*Width*multiple of 4*6*");
        Refusal.Expect(() => new DiT(SmallDiT with { Depth = 0 }), "*Depth*greater than 0*0*");
        Refusal.Expect(() => new DiT(SmallDiT with { NormEpsilon = 0 }), "*NormEpsilon*greater than 0*0*");
        Refusal.Expect(() => new DiT(SmallDiT with { FeedForwardRatio = 0 }), "*FeedForwardRatio*greater than 0*0*");
        Refusal.Expect(() => new DiT(SmallDiT with { Classes = 0 }), "*Classes*greater than 0*0*");
        Refusal.Expect(() => new DiT(SmallDiT with { VectorWidth = 0 }), "*VectorWidth*greater than 0*0*");
        Refusal.Expect(() => new DiT(SmallDiT with { Dropout = 1 }), "*Dropout*[0, 1)*1*");
        Refusal.Expect(() => new DiT(SmallDiT with { LabelDropout = double.NaN }), "*LabelDropout*[0, 1)*NaN*");
        Refusal.Expect(() => DiTOptions.Small(7).CountParameters(), "*ImageSize*patch size 7*32*");
        Refusal.Expect(() => new UViT(SmallUViT with { Depth = 4 }), "*Depth*odd*4*");
        Refusal.Expect(() => new UViT(SmallUViT with { Width = 9, Heads = 3 }), "*Width*even*9*");
        Refusal.Expect(() => new ViTDenoiser(SmallViT with { ImageSize = 5 }), "*ImageSize*patch size 2*5*");
        Refusal.Expect(() => new SwinDenoiser(SmallSwin with { WindowSize = 0 }), "*WindowSize*greater than 0*0*");
        Refusal.Expect(() => new SwinDenoiser(SmallSwin with { Depths = [] }), "*Depths*1 to 16*");
        Refusal.Expect(() => new SwinDenoiser(SmallSwin with { Depths = [2, 0] }), "*Depths*at least one*2, 0*");
        Refusal.Expect(() => new SwinDenoiser(SmallSwin with { Heads = [2] }), "*Heads*2 levels*1*");
        Refusal.Expect(() => new SwinDenoiser(SmallSwin with { Heads = [2, 3] }), "*Heads*divide the width 16*3*");
    }
}
