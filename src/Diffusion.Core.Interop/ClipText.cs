using Diffusion.Core.Models;

namespace Diffusion.Core.Interop;

/// <summary>
/// CLIP text encoders and tokenizers from the folders of Hugging Face's transformers, such as <c>text_encoder</c> and <c>tokenizer</c> of a
/// pipeline.
/// </summary>
public static class ClipText
{
    private const string ConfigFile = "config.json";
    private const string WeightsFile = "model.safetensors";

    // A buffer of old checkpoints: 0, 1, 2, ...
    private const string PositionIds = "text_model.embeddings.position_ids";

    private static readonly string[] _classes = ["CLIPTextModel", "CLIPTextModelWithProjection"];

    /// <summary>An encoder with its weights.</summary>
    /// <param name="folder">Holds <c>config.json</c> and <c>model.safetensors</c>, or shards of it.</param>
    /// <returns>On the CPU, in float32, in evaluation mode; the caller's.</returns>
    /// <exception cref="FileNotFoundException">A file is missing.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the weights are not those of the configuration.</exception>
    /// <exception cref="NotSupportedException">The configuration is of another model, or asks for an activation unknown here.</exception>
    public static ClipTextEncoder LoadEncoder(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var encoder = Make(folder);
        try
        {
            var whole = Path.Combine(folder, WeightsFile);
            ModuleWeights.Load(
                encoder, File.Exists(whole) ? whole : folder, new WeightOptions { Rename = name => name == PositionIds ? null : name });
            encoder.eval();
            return encoder;
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    /// <summary>The architecture that a <c>config.json</c> describes; what it does not say has the default of transformers.</summary>
    /// <param name="folder">Holds <c>config.json</c>.</param>
    /// <inheritdoc cref="LoadEncoder" path="/exception"/>
    public static ClipTextEncoderOptions LoadOptions(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        using var config = HuggingFaceJson.Open(Path.Combine(folder, ConfigFile));
        var kind = ClassOf(config);
        var defaults = new ClipTextEncoderOptions();
        var activation = config.Text("hidden_act", "quick_gelu");
        return new ClipTextEncoderOptions
        {
            Vocabulary = config.Whole("vocab_size", defaults.Vocabulary),
            Width = config.Whole("hidden_size", defaults.Width),
            HiddenWidth = config.Whole("intermediate_size", defaults.HiddenWidth),
            Layers = config.Whole("num_hidden_layers", defaults.Layers),
            Heads = config.Whole("num_attention_heads", defaults.Heads),
            MaxTokens = config.Whole("max_position_embeddings", defaults.MaxTokens),
            NormEpsilon = config.Number("layer_norm_eps", defaults.NormEpsilon),
            EndToken = config.Whole("eos_token_id", (int)defaults.EndToken),
            ProjectionWidth = kind == _classes[1] ? config.Whole("projection_dim", 512) : null,
            Activation = activation switch
            {
                "quick_gelu" => Activation.GeluSigmoid,
                "gelu" => Activation.Gelu,
                _ => throw new NotSupportedException($"{config.Path}: hidden_act must be 'quick_gelu' or 'gelu', got '{activation}'."),
            },
        };
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

    private static ClipTextEncoder Make(string folder)
    {
        var options = LoadOptions(folder);
        try
        {
            return new ClipTextEncoder(options);
        }
        catch (ArgumentException e)
        {
            throw new InvalidDataException($"{Path.Combine(folder, ConfigFile)}: {e.Message}", e);
        }
    }

    private static string ClassOf(HuggingFaceJson config)
    {
        var kind = config.Texts("architectures") is [var only] ? only : _classes[0];
        if (!_classes.Contains(kind) || config.Text("model_type", "clip_text_model") != "clip_text_model")
            throw new NotSupportedException($"{config.Path}: expected {string.Join(" or ", _classes)}, got {kind} of another model type.");
        return kind;
    }
}
