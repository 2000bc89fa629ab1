using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>The mapping of DiTTransformer2DModel.</summary>
internal sealed class DiTMapping : IModelMapping
{
    private static readonly (string Name, Activation Activation)[] _activations =
    [
        ("gelu-approximate", Activation.GeluTanh), ("gelu", Activation.Gelu), ("geglu", Activation.GeGlu),
        ("geglu-approximate", Activation.GeluSigmoid), ("swiglu", Activation.SwiGlu),
    ];

    public string ClassName => "DiTTransformer2DModel";

    public nn.Module Create(ModelConfig config)
    {
        // The groups of a norm that this network does not have, and a setting for the precision of attention.
        config.Ignore("norm_num_groups", "upcast_attention");
        config.Require("norm_type", "ada_norm_zero");
        var heads = config.Whole("num_attention_heads", 16);
        var activation = config.Text("activation_fn", "gelu-approximate");
        return new DiT(new DiTOptions
        {
            ImageSize = config.Whole("sample_size", 32),
            Channels = config.Whole("in_channels", 4),
            OutChannels = config.WholeOrNull("out_channels"),
            PatchSize = config.Whole("patch_size", 2),
            Width = heads * config.Whole("attention_head_dim", 72),
            Heads = heads,
            Depth = config.Whole("num_layers", 28),
            Classes = config.Whole("num_embeds_ada_norm", 1000),
            Dropout = config.Number("dropout", 0.0),
            AttentionBias = config.Flag("attention_bias", true),
            NormAffine = config.Flag("norm_elementwise_affine", false),
            NormEpsilon = config.Number("norm_eps", 1e-5),
            Activation = _activations.FirstOrDefault(known => known.Name == activation).Activation ?? throw config.Unsupported("activation_fn"),
        });
    }

    public ModelConfig? Describe(nn.Module network)
    {
        if (network is not DiT { Options: var options })
            return null;
        if (options.SharedEmbedding)
            throw ConfigJson.NotThere(ClassName, nameof(DiTOptions.SharedEmbedding), true);
        if (options.Classes is null || options.NullLabel is null)
            throw ConfigJson.NotThere(ClassName, nameof(options.NullLabel), null);
        if (options.VectorWidth is not null)
            throw ConfigJson.NotThere(ClassName, nameof(options.VectorWidth), options.VectorWidth);
        if (options.FeedForwardRatio != 4)
            throw ConfigJson.NotThere(ClassName, nameof(options.FeedForwardRatio), options.FeedForwardRatio);
        return ConfigJson.Of(ClassName, new JsonObject
        {
            ["activation_fn"] = _activations.FirstOrDefault(known => known.Activation == (options.Activation ?? Activation.GeluTanh)).Name
                ?? throw ConfigJson.NotThere(ClassName, nameof(options.Activation), options.Activation),
            ["attention_bias"] = options.AttentionBias,
            ["attention_head_dim"] = options.Width / options.Heads,
            ["dropout"] = options.Dropout,
            ["in_channels"] = options.Channels,
            ["norm_elementwise_affine"] = options.NormAffine,
            ["norm_eps"] = options.NormEpsilon,
            ["norm_num_groups"] = 32,
            ["norm_type"] = "ada_norm_zero",
            ["num_attention_heads"] = options.Heads,
            ["num_embeds_ada_norm"] = options.Classes,
            ["num_layers"] = options.Depth,
            ["out_channels"] = options.OutChannels,
            ["patch_size"] = options.PatchSize,
            ["sample_size"] = options.ImageSize,
            ["upcast_attention"] = false,
        });
    }
}
