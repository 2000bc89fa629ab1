using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// CLIP text encoders and tokenizers from the folders of Hugging Face's transformers, such as <c>text_encoder</c> and <c>tokenizer</c> of a
/// pipeline.
/// </summary>
internal static class ClipText
{
    /// <summary>An encoder with its weights.</summary>
    /// <param name="folder">Holds <c>config.json</c> and <c>model.safetensors</c>, or shards of it.</param>
    /// <returns>On the CPU, in float32, in evaluation mode. The caller must dispose the returned tensor.</returns>
    /// <exception cref="FileNotFoundException">A file is missing.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the weights are not those of the configuration.</exception>
    /// <exception cref="NotSupportedException">The configuration is of another model, or asks for an activation unknown here.</exception>
    public static ClipTextEncoder LoadEncoder(string folder)
    {
        var model = DiffusersModel.Load(folder);
        if (model.Network is ClipTextEncoder encoder)
            return encoder;
        model.Dispose();
        throw new NotSupportedException($"{folder} must hold a text encoder of CLIP, got {model.Config.ClassName}.");
    }

    /// <summary>A tokenizer.</summary>
    /// <param name="folder">
    /// Holds <c>vocab.json</c> and <c>merges.txt</c>, or <c>tokenizer.json</c>; special tokens and the length are taken from
    /// <c>tokenizer_config.json</c> and <c>special_tokens_map.json</c> where they are there.
    /// </param>
    /// <exception cref="FileNotFoundException">A file is missing.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the files contradict each other.</exception>
    /// <exception cref="NotSupportedException">The folder holds a tokenizer of another kind.</exception>
    public static ClipTokenizer LoadTokenizer(string folder) => ClipTokenizerFiles.Load(folder);
}

/// <summary>
/// Prompts as a condition, as in StableDiffusionPipeline of diffusers: the last states of the text encoder, for all tokens.
/// </summary>
internal sealed class PromptEncoder(ClipTokenizer tokenizer, ClipTextEncoder encoder, ModelConfig config)
{
    /// <summary>The setting of an encoder that must not look at what fills a text up.</summary>
    public const string MaskSetting = "use_attention_mask";

    /// <summary>The condition on prompts.</summary>
    /// <param name="prompts">At least one; longer ones are cut.</param>
    /// <param name="dtype">The type of the states.</param>
    /// <returns>A <see cref="Condition.EncoderHiddenStates"/> of [B, tokens, width]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">A prompt is not Unicode, or the tokens are not those of the encoder.</exception>
    public Condition Encode(IReadOnlyList<string> prompts, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var gradientsOff = no_grad();
        var device = encoder.parameters().First().device;
        var tokens = tokenizer.EncodeBatch(prompts, device);
        var mask = config.Flag(MaskSetting, false) ? Mask(prompts, device) : null;
        using var output = encoder.Encode(tokens, mask);
        return Condition.Create(encoderHiddenStates: output.LastHiddenState.to(dtype, copy: true).MoveToOuterDisposeScope());
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
