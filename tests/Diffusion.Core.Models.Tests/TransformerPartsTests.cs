using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>The layers that transformers share, against their formulas.</summary>
public class TransformerPartsTests
{
    private static readonly TransformerBlockOptions Cross = new()
    {
        Width = 6,
        Heads = 2,
        HeadWidth = 4,
        ContextWidth = 5,
        Activation = Activation.GeGlu,
        AttentionBias = false,
        NormEpsilon = 1e-3,
    };

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void A_block_with_a_context_is_its_parts_one_after_the_other(bool onlyCross, bool masks)
    {
        using var scope = NewDisposeScope();
        random.manual_seed(1);
        using var block = new TransformerBlock(Cross with { OnlyCrossAttention = onlyCross }).to(ScalarType.Float64);
        Shake(block);
        var tokens = randn([2, 3, 6], dtype: ScalarType.Float64);
        var context = randn([2, 4, 5], dtype: ScalarType.Float64);
        var mask = masks ? tensor(new[] { true, false, true, true, true, true, false, false }).view(2, 1, 1, 4) : null;
        var state = block.state_dict();

        var actual = block.forward(tokens, null, context, mask);

        Tensor Norm(Tensor x, string name)
        {
            var centred = x.sub(x.mean([2L], keepdim: true));
            var normed = centred.div(centred.pow(2).mean([2L], keepdim: true).add(1e-3).sqrt());
            return normed.mul(state[name + ".weight"]).add(state[name + ".bias"]);
        }

        Tensor Attend(Tensor x, bool crosses, string name)
        {
            using var attention = new MultiHeadAttention(
                new() { Width = 6, Heads = 2, HeadWidth = 4, ContextWidth = crosses ? 5 : null, InputBias = false }).to(ScalarType.Float64);
            Load(attention, name);
            return attention.call(x, crosses ? context : null, crosses ? mask : null);
        }

        using var forward = new FeedForward(6, activation: Activation.GeGlu).to(ScalarType.Float64);
        Load(forward, "ff");
        var hidden = tokens.add(Attend(Norm(tokens, "norm1"), onlyCross, "attn1"));
        hidden = hidden.add(Attend(Norm(hidden, "norm2"), true, "attn2"));
        RelativeError.OfSamples(actual, hidden.add(forward.call(Norm(hidden, "norm3")))).Should().BeLessThan(1e-13);

        void Load(nn.Module part, string name) => part.load_state_dict(state
            .Where(pair => pair.Key.StartsWith(name + ".", StringComparison.Ordinal))
            .ToDictionary(pair => pair.Key[(name.Length + 1)..], pair => pair.Value));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_block_has_the_gradients_of_finite_differences(bool modulated)
    {
        using var scope = NewDisposeScope();
        random.manual_seed(2);
        using var block = new TransformerBlock(Cross with { EmbeddingWidth = modulated ? 3 : null }).to(ScalarType.Float64);
        Shake(block);
        var tokens = randn([2, 3, 6], dtype: ScalarType.Float64).requires_grad_(true);
        var embedding = modulated ? randn([2, 3], dtype: ScalarType.Float64).requires_grad_(true) : null;
        var context = randn([2, 4, 5], dtype: ScalarType.Float64).requires_grad_(true);
        var weights = randn_like(tokens);
        Tensor[] leaves = embedding is null ? [tokens, context] : [tokens, context, embedding];

        GradientCheck.LargestError(
            () => block.call(tokens, embedding, context).mul(weights).sum(), block.parameters().Concat(leaves)).Should().BeLessThan(1e-6);
    }

    [Fact]
    public void A_modulated_block_begins_as_the_identity()
    {
        using var scope = NewDisposeScope();
        using var block = new TransformerBlock(new() { Width = 8, Heads = 2, EmbeddingWidth = 5 });
        var tokens = randn(2, 3, 8);

        block.call(tokens, randn(2, 5), null).ShouldBeIdentical(tokens, "adaLN-Zero");
    }

    [Fact]
    public void Dropout_follows_attention_and_stands_in_the_feed_forward_layer()
    {
        using var scope = NewDisposeScope();
        using var block = new TransformerBlock(new() { Width = 8, Heads = 2, Dropout = 0.5 });
        var tokens = randn(2, 3, 8);
        Tensor Answer(ulong seed)
        {
            using var generator = new Generator(seed, CPU);
            using var named = TrainingRandom.Use(generator);
            return block.call(tokens, null, null);
        }

        Answer(1).ShouldBeIdentical(Answer(1), "one seed");
        Answer(1).Equals(Answer(2)).Should().BeFalse();
        block.eval();
        Answer(1).ShouldBeIdentical(Answer(2), "evaluation");
    }

    [Fact]
    public void Labels_are_dropped_as_often_as_asked_and_only_in_training()
    {
        using var scope = NewDisposeScope();
        using var dropout = new LabelDropout(0.25, 7);
        using var generator = new Generator(1, CPU);
        var labels = arange(0, 20_000, dtype: ScalarType.Int64).remainder(7);

        Tensor dropped;
        using (TrainingRandom.Use(generator))
            dropped = dropout.call(labels);
        var gone = dropped.eq(7);

        dropped.dtype.Should().Be(ScalarType.Int64);
        gone.to(ScalarType.Float64).mean().item<double>().Should().BeApproximately(0.25, 4 * Math.Sqrt(0.25 * 0.75 / 20_000));
        where(gone, labels, dropped).ShouldBeIdentical(labels, "the others stay");
        dropout.eval();
        dropout.call(labels).ShouldBeIdentical(labels, "evaluation");
        FluentActions.Invoking(() => new LabelDropout(1, 7)).Should().Throw<ArgumentOutOfRangeException>().WithMessage("*[0, 1)*1*");
    }

    [Fact]
    public void Patches_become_tokens_row_by_row_and_join_to_the_same_image()
    {
        using var scope = NewDisposeScope();
        using var patches = new PatchEmbedding(2, 2, 8);
        using (no_grad())
        {
            // Each token holds its pixels, channels last.
            var weight = patches.get_parameter("proj.weight")!.fill_(0);
            for (var k = 0; k < 8; k++)
                weight[k, k % 2, k / 4, k / 2 % 2] = 1;
            patches.get_parameter("proj.bias")!.fill_(0);
        }

        var image = randn(3, 2, 4, 6);
        var tokens = patches.call(image);

        tokens.shape.Should().Equal(3, 6, 8);
        var patch = image.select(0, 0).narrow(1, 2, 2).narrow(2, 2, 2);
        tokens[0, 4].Values().Should().Equal(patch.permute(1, 2, 0).reshape(-1).Values());
        PatchEmbedding.Join(tokens, 2, 3, 2).ShouldBeIdentical(image, "there and back");
        Refusal.Expect(() => patches.call(zeros(1, 2, 3, 4)), "*patch size 2*[1, 2, 3, 4]*");
        Refusal.Expect(() => PatchEmbedding.Join(tokens, 2, 2, 2), "*[*, 4, *]*[3, 6, 8]*");
        Refusal.Expect(() => PatchEmbedding.Join(tokens, 2, 3, 3), "*9 pixels*[3, 6, 8]*");
    }

    [Fact]
    public void Fixed_positions_tell_column_then_row_and_stretch_with_the_grid()
    {
        using var scope = NewDisposeScope();
        using var positions = new SinusoidalPositions(8, 3);
        double[] At(Tensor table, int token) => table[0, token].Values();
        double[] Expected(double x, double y) =>
        [
            Math.Sin(x), Math.Sin(x / 100), Math.Cos(x), Math.Cos(x / 100),
            Math.Sin(y), Math.Sin(y / 100), Math.Cos(y), Math.Cos(y / 100),
        ];

        var own = positions.call(zeros([1, 9, 8], dtype: ScalarType.Float64));
        var other = positions.forward(zeros([1, 12, 8], dtype: ScalarType.Float64), 2, 6);

        At(own, 5).Zip(Expected(2, 1)).Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-15);
        At(other, 11).Zip(Expected(2.5, 1.5)).Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-15);
        positions.state_dict().Should().BeEmpty();
        Refusal.Expect(() => new SinusoidalPositions(6, 3), "*multiple of 4*6*");
        Refusal.Expect(() => positions.call(zeros(1, 8, 8)), "*[*, 9, 8]*[1, 8, 8]*");
    }

    [Fact]
    public void Learned_positions_are_interpolated_for_another_grid()
    {
        using var scope = NewDisposeScope();
        using var positions = new LearnedPositions(2, 2, extra: 1);
        using (no_grad())
            positions.get_parameter("weight")!.copy_(tensor(new float[] { 9, 9, 0, 1, 4, 1, 0, 1, 4, 1 }).view(1, 5, 2));

        var own = positions.call(zeros(1, 5, 2));
        var wide = positions.forward(zeros(1, 9, 2), 2, 4);

        own.Values().Should().Equal(9, 9, 0, 1, 4, 1, 0, 1, 4, 1);
        wide.Values().Should().Equal(9, 9, 0, 1, 1, 1, 3, 1, 4, 1, 0, 1, 1, 1, 3, 1, 4, 1);
        var half = positions.to(ScalarType.BFloat16).forward(zeros([1, 9, 2], dtype: ScalarType.BFloat16), 2, 4);
        half.ShouldBeClose(wide, 1e-2, "in half the bits");
        Refusal.Expect(() => positions.call(zeros(1, 9, 2)), "*[*, 5, 2]*[1, 9, 2]*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Blocks_refuse_what_does_not_fit()
    {
        using var scope = NewDisposeScope();
        using var plain = new TransformerBlock(new() { Width = 6, Heads = 2 });
        using var modulated = new TransformerBlock(Cross with { EmbeddingWidth = 3 });
        var tokens = zeros(2, 3, 6);
        var context = zeros(2, 4, 5);

        Refusal.Expect(() => new TransformerBlock(new() { Width = 6, Heads = 4 }), "*Heads*divide*6*4*");
        Refusal.Expect(() => new TransformerBlock(new() { Width = 6, Heads = 0 }), "*Heads*0*");
        Refusal.Expect(() => new TransformerBlock(Cross with { EmbeddingWidth = 0 }), "*embeddingWidth*greater than 0*");
        Refusal.Expect(
            () => new TransformerBlock(Cross with { ContextWidth = null, OnlyCrossAttention = true }), "*context width*none*");
        Refusal.Expect(() => plain.call(zeros(2, 3, 5), null, null), "*[*, *, 6]*[2, 3, 5]*");
        Refusal.Expect(() => plain.call(tokens, zeros(2, 3), null), "*takes no embedding*");
        Refusal.Expect(() => plain.call(tokens, null, context), "*no context*");
        Refusal.Expect(() => modulated.call(tokens, null, context), "*embedding*");
        Refusal.Expect(() => modulated.call(tokens, zeros(2, 4), context), "*[2, 3]*[2, 4]*");
        Refusal.Expect(() => modulated.call(tokens, zeros(2, 3), null), "*context*");
        Refusal.Expect(() => modulated.call(tokens, zeros(2, 3), tokens), "*[2, *, 5]*[2, 3, 6]*");
    }

    private static void Shake(nn.Module module)
    {
        using var guard = no_grad();
        foreach (var parameter in module.parameters())
        {
            using var noise = randn_like(parameter);
            parameter.add_(noise.mul_(0.3));
        }
    }
}
