using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// Reads CLIP text encoders and tokenizers from folders of Hugging Face's transformers, such as <c>text_encoder</c> and
/// <c>tokenizer</c> of a pipeline.
/// </summary>
internal static class ClipText
{
    /// <summary>Reads an encoder and its weights.</summary>
    /// <param name="folder">A folder with <c>config.json</c> and <c>model.safetensors</c>, or its shards.</param>
    /// <returns>The encoder, on the CPU, in float32, in evaluation mode. The caller must dispose it.</returns>
    /// <exception cref="FileNotFoundException">A file is missing.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the weights do not match the configuration.</exception>
    /// <exception cref="NotSupportedException">
    /// The configuration is that of another model, or specifies an activation that is not supported.
    /// </exception>
    public static ClipTextEncoder LoadEncoder(string folder)
    {
        var model = DiffusersModel.Load(folder);
        if (model.Network is ClipTextEncoder encoder)
            return encoder;
        model.Dispose();
        throw new NotSupportedException($"{folder} must contain a CLIP text encoder, got {model.Config.ClassName}.");
    }

    /// <summary>Reads a tokenizer.</summary>
    /// <param name="folder">
    /// A folder with <c>vocab.json</c> and <c>merges.txt</c>, or with <c>tokenizer.json</c>. Special tokens and the maximum length are
    /// read from <c>tokenizer_config.json</c> and <c>special_tokens_map.json</c> if these files exist.
    /// </param>
    /// <exception cref="FileNotFoundException">A file is missing.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the files contradict each other.</exception>
    /// <exception cref="NotSupportedException">The folder contains a tokenizer of another type.</exception>
    public static ClipTokenizer LoadTokenizer(string folder) => ClipTokenizerFiles.Load(folder);
}

/// <summary>
/// Encodes prompts as a condition, as StableDiffusionPipeline of diffusers does: the last hidden states of the text encoder, for all
/// tokens.
/// </summary>
internal sealed class PromptEncoder(ClipTokenizer tokenizer, ClipTextEncoder encoder, ModelConfig config)
{
    /// <summary>The setting of a text encoder that specifies whether padding tokens are masked.</summary>
    public const string MaskSetting = "use_attention_mask";

    /// <summary>Encodes prompts.</summary>
    /// <param name="prompts">At least one prompt. Prompts that are too long are truncated.</param>
    /// <param name="dtype">The type of the hidden states.</param>
    /// <returns>
    /// A condition whose <see cref="Condition.EncoderHiddenStates"/> are [B, tokens, width]. The caller must dispose it.
    /// </returns>
    /// <exception cref="ArgumentException">A prompt is not valid Unicode, or the tokens do not match the encoder.</exception>
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

    /// <summary>Returns [B, L], true for the start token, the text and the end token, and false for padding.</summary>
    private Tensor Mask(IReadOnlyList<string> prompts, Device device)
    {
        long[] counts = [.. prompts.Select(prompt => (long)tokenizer.Encode(prompt).Length)];
        var lengths = tensor(counts, dtype: ScalarType.Int64, device: device);
        var places = Scalars.Arange(tokenizer.Options.MaxTokens, ScalarType.Int64, device);
        return places.unsqueeze(0).lt(lengths.unsqueeze(1));
    }
}
