using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Interop;

/// <summary>
/// Prompts as a condition, as StableDiffusionPipeline of diffusers makes it: the last states of the text encoder, for all tokens.
/// </summary>
internal sealed class PromptEncoder(ClipTokenizer tokenizer, ClipTextEncoder encoder, ModelConfig config)
{
    /// <summary>The setting of an encoder that must not look at what fills a text up.</summary>
    public const string MaskSetting = "use_attention_mask";

    /// <summary>The condition on prompts.</summary>
    /// <param name="prompts">At least one; longer ones are cut.</param>
    /// <param name="dtype">The type of the states.</param>
    /// <returns>A <see cref="Condition.Sequence"/> of [B, tokens, width]; the caller's.</returns>
    /// <exception cref="ArgumentException">A prompt is not Unicode, or the tokens are not those of the encoder.</exception>
    public Condition Encode(IReadOnlyList<string> prompts, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        var device = encoder.parameters().First().device;
        var tokens = tokenizer.EncodeBatch(prompts, device);
        var mask = config.Flag(MaskSetting, false) ? Mask(prompts, device) : null;
        using var output = encoder.Encode(tokens, mask);
        return new Condition { Sequence = output.LastHiddenState.to(dtype, copy: true).MoveToOuterDisposeScope() };
    }

    /// <summary>[B, L] true for start, text and end, false for what fills it up.</summary>
    private Tensor Mask(IReadOnlyList<string> prompts, Device device)
    {
        long[] counts = [.. prompts.Select(prompt => (long)tokenizer.Encode(prompt).Length)];
        var lengths = tensor(counts, dtype: ScalarType.Int64, device: device);
        var places = Scalars.Arange(tokenizer.Options.MaxTokens, ScalarType.Int64, device);
        return places.unsqueeze(0).lt(lengths.unsqueeze(1));
    }
}
