using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class ClipTextEncoderTests
{
    private static readonly ClipTextEncoderOptions _small = new()
    {
        Vocabulary = 20,
        Width = 8,
        HiddenWidth = 12,
        Layers = 2,
        Heads = 2,
        MaxTokens = 6,
        ProjectionWidth = 3,
        EndToken = 19,
    };

    [Fact]
    public void Well_known_encoders_have_their_number_of_parameters()
    {
        using (var encoder = new ClipTextEncoder(new ClipTextEncoderOptions()))
            ModuleWeights.Count(encoder).Should().Be(63_165_952);
        using (var encoder = new ClipTextEncoder(new ClipTextEncoderOptions { Width = 768, HiddenWidth = 3072, Heads = 12 }))
            ModuleWeights.Count(encoder).Should().Be(123_060_480);
    }

    [Fact]
    public void Gradients_agree_with_finite_differences()
    {
        using var scope = NewDisposeScope();
        using var encoder = Encoder();
        encoder.to(ScalarType.Float64);
        var tokens = Tokens();
        Tensor Loss()
        {
            var output = encoder.Encode(tokens);
            return output.LastHiddenState.sin().mean().add(output.Projected!.pow(2).mean());
        }

        GradientCheck.LargestError(Loss, encoder.parameters()).Should().BeLessThan(1e-5);
    }

    [Fact]
    public void A_batch_equals_its_texts_alone_and_padding_behind_a_text_changes_nothing_before_it()
    {
        using var scope = NewDisposeScope();
        using var encoder = Encoder();
        var tokens = Tokens();
        var batch = encoder.Encode(tokens);
        for (var k = 0; k < 2; k++)
        {
            var alone = encoder.Encode(tokens.narrow(0, k, 1));
            alone.LastHiddenState.ShouldBeClose(batch.LastHiddenState.narrow(0, k, 1), 1e-6, "states");
            alone.Projected!.ShouldBeClose(batch.Projected!.narrow(0, k, 1), 1e-6, "projected");
        }

        var shorter = encoder.Encode(tokens.narrow(1, 0, 4));
        shorter.LastHiddenState.ShouldBeClose(batch.LastHiddenState.narrow(1, 0, 4), 1e-6, "causal");
    }

    [Fact]
    public void The_state_of_the_first_end_token_stands_for_the_text_and_by_the_old_rule_that_of_the_greatest()
    {
        using var scope = NewDisposeScope();
        using var encoder = Encoder();
        using var old = Encoder(_small with { EndToken = 2 });
        old.load_state_dict(encoder.state_dict());
        var tokens = tensor(new long[] { 18, 3, 19, 19, 0, 0, 18, 19, 2, 0, 0, 0 }).view(2, 6);
        var output = encoder.Encode(tokens);
        output.Pooled[0].ShouldBeIdentical(output.LastHiddenState[0][2], "first end");
        output.Pooled[1].ShouldBeIdentical(output.LastHiddenState[1][1], "first end");
        var legacy = old.Encode(tensor(new long[] { 5, 2, 17, 2, 17, 0 }).view(1, 6));
        legacy.Pooled[0].ShouldBeIdentical(legacy.LastHiddenState[0][2], "first of the greatest");
    }

    [Fact]
    public void A_mask_of_ones_is_no_mask_and_masked_tokens_do_not_matter()
    {
        using var scope = NewDisposeScope();
        using var encoder = Encoder();
        var tokens = Tokens();
        var plain = encoder.Encode(tokens).LastHiddenState;
        encoder.Encode(tokens, ones([2, 6], dtype: ScalarType.Bool)).LastHiddenState.ShouldBeClose(plain, 1e-6, "ones");
        var mask = tensor(new[] { true, false, true, true, true, true, true, true, true, true, true, true }).view(2, 6);
        var other = tokens.clone();
        other[0, 1] = tensor(7L);
        var masked = encoder.Encode(tokens, mask).LastHiddenState;
        var changed = encoder.Encode(other, mask).LastHiddenState;
        changed[0].narrow(0, 2, 4).ShouldBeIdentical(masked[0].narrow(0, 2, 4), "masked");
        masked.Values().Should().NotEqual(plain.Values());
    }

    [Fact]
    public void State_moves_to_another_encoder()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var encoder = Encoder();
        using var other = new ClipTextEncoder(_small);
        ModuleWeights.Save(encoder, folder.File("model.safetensors"));
        ModuleWeights.Load(other, folder.File("model.safetensors"));
        other.Encode(Tokens()).Projected!.ShouldBeIdentical(encoder.Encode(Tokens()).Projected!, "projected");
        encoder.state_dict().Keys.Should().Contain(["text_model.encoder.layers.1.self_attn.out_proj.bias", "text_projection.weight"]);
    }

    [Fact]
    public void Bf16_is_close_to_float32()
    {
        using var scope = NewDisposeScope();
        using var encoder = Encoder();
        var expected = encoder.Encode(Tokens()).LastHiddenState;
        encoder.to(ScalarType.BFloat16);
        var actual = encoder.Encode(Tokens()).LastHiddenState;
        actual.dtype.Should().Be(ScalarType.BFloat16);
        actual.ShouldBeClose(expected, 0.05, "states");
    }

    [Fact]
    public void Live_tensors_stay_constant()
    {
        using var encoder = Encoder();
        using var tokens = Tokens();
        using var mask = ones([2, 6], dtype: ScalarType.Bool);
        LiveTensors.Change(() =>
        {
            encoder.Encode(tokens).Dispose();
            encoder.EncodeWithHiddenStates(tokens, mask).Dispose();
        }).Should().Be(0);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_does_not_fit_is_refused()
    {
        using var scope = NewDisposeScope();
        using var encoder = Encoder();
        void Refuse(Tensor tokens, string message, Tensor? mask = null)
            => FluentActions.Invoking(() => encoder.Encode(tokens, mask)).Should().Throw<ArgumentException>().WithMessage(message);
        Refuse(zeros([2, 7], dtype: ScalarType.Int64), "*1 to 6 tokens*");
        Refuse(zeros([0, 6], dtype: ScalarType.Int64), "*at least one*");
        Refuse(zeros([6], dtype: ScalarType.Int64), "*shape*");
        Refuse(zeros([1, 6]), "*Int64*");
        Refuse(full([1, 6], 20, dtype: ScalarType.Int64), "*0, 19*got 20*");
        Refuse(full([1, 6], -1, dtype: ScalarType.Int64), "*got -1*");
        Refuse(Tokens(), "*shape*", ones([1, 6], dtype: ScalarType.Bool));
        Refuse(Tokens(), "*Bool*", ones([2, 6]));
        Refuse(Tokens(), "*first token*false*", tensor(new[] { true, false }).view(2, 1).expand(2, 6));
        foreach (var options in new[]
        {
            _small with { Heads = 3 }, _small with { Width = 0 }, _small with { Layers = 0 }, _small with { Activation = Activation.GeGlu },
            _small with { NormEpsilon = 0 }, _small with { ProjectionWidth = 0 },
        })
            FluentActions.Invoking(() => new ClipTextEncoder(options)).Should().Throw<ArgumentException>();
    }

    private static ClipTextEncoder Encoder(ClipTextEncoderOptions? options = null)
    {
        manual_seed(3);
        var encoder = new ClipTextEncoder(options ?? _small);
        using var off = no_grad();
        foreach (var (name, parameter) in encoder.named_parameters())
        {
            if (name.Contains("embedding"))
                parameter.mul_(30);
        }

        return encoder;
    }

    private static Tensor Tokens() => tensor(new long[] { 18, 1, 2, 19, 19, 19, 18, 5, 4, 3, 6, 19 }).view(2, 6).clone();
}
