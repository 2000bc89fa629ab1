using Diffusion.Core.Models;

namespace Diffusion.Core.Interop;

/// <summary>
/// CLIP text encoders and tokenizers from the folders of Hugging Face's transformers, such as <c>text_encoder</c> and <c>tokenizer</c> of a
/// pipeline.
/// </summary>
public static class ClipText
{
    /// <summary>An encoder with its weights.</summary>
    /// <param name="folder">Holds <c>config.json</c> and <c>model.safetensors</c>, or shards of it.</param>
    /// <returns>On the CPU, in float32, in evaluation mode; the caller's.</returns>
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
