using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>The mapping of CLIPTextModel or CLIPTextModelWithProjection of transformers.</summary>
internal sealed class ClipTextMapping(bool isProjected) : IModelMapping
{
    private static readonly (string Name, Activation Activation)[] _activations =
    [
        ("quick_gelu", Activation.GeluSigmoid), ("gelu", Activation.Gelu), ("gelu_new", Activation.GeluTanh), ("relu", Activation.Relu), ("silu", Activation.Silu),
    ];

    public string ClassName => isProjected ? "CLIPTextModelWithProjection" : "CLIPTextModel";

    public string Library => "transformers";

    public string WeightsName => "model";

    public nn.Module Create(ModelConfig config)
    {
        // Settings for training, for the tokenizer, for transformers itself and for PromptEncoder do not affect the network.
        config.Ignore(
            "attention_dropout", "bos_token_id", "dropout", "initializer_factor", "initializer_range", "model_type", "pad_token_id", "torch_dtype", "dtype",
            "transformers_version", PromptEncoder.MaskSetting);
        var (width, projection) = (config.Whole("hidden_size", 512), config.Whole("projection_dim", 512));
        var activation = config.Text("hidden_act", "quick_gelu");
        return new ClipTextEncoder(new ClipTextEncoderOptions
        {
            Vocabulary = config.Whole("vocab_size", 49408),
            Width = width,
            HiddenWidth = config.Whole("intermediate_size", 2048),
            Layers = config.Whole("num_hidden_layers", 12),
            Heads = config.Whole("num_attention_heads", 8),
            MaxTokens = config.Whole("max_position_embeddings", 77),
            Activation = _activations.FirstOrDefault(known => known.Name == activation).Activation ?? throw config.Unsupported("hidden_act"),
            NormEpsilon = config.Number("layer_norm_eps", 1e-5),
            ProjectionWidth = isProjected ? projection : null,
            EndToken = config.Whole("eos_token_id", 49407),
        });
    }

    public ModelConfig? Describe(nn.Module network)
    {
        if (network is not ClipTextEncoder { Options: var options } || options.ProjectionWidth is not null != isProjected)
            return null;
        return new ModelConfig(ClassName, new JsonObject
        {
            ["architectures"] = new JsonArray(ClassName),
            ["eos_token_id"] = options.EndToken,
            ["hidden_act"] = _activations.FirstOrDefault(known => known.Activation == options.Activation).Name
                ?? throw ConfigJson.NotThere(ClassName, nameof(options.Activation), options.Activation),
            ["hidden_size"] = options.Width,
            ["intermediate_size"] = options.HiddenWidth,
            ["layer_norm_eps"] = options.NormEpsilon,
            ["max_position_embeddings"] = options.MaxTokens,
            ["model_type"] = "clip_text_model",
            ["num_attention_heads"] = options.Heads,
            ["num_hidden_layers"] = options.Layers,
            ["projection_dim"] = options.ProjectionWidth ?? options.Width,
            ["vocab_size"] = options.Vocabulary,
        });
    }

    /// <summary>Ignores the position indices that older files contain.</summary>
    public string? Rename(string name) => name.EndsWith(".position_ids", StringComparison.Ordinal) ? null : name;
}
