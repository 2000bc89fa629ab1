using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>The mapping of AutoencoderKL.</summary>
internal sealed class AutoencoderKLMapping : IModelMapping
{
    public string ClassName => "AutoencoderKL";

    public nn.Module Create(ModelConfig config) => new AutoencoderKL(new AutoencoderKLOptions
    {
        Body = ConvolutionalBodyMapping.Read(config, latentChannels: 4),
        QuantConvolution = config.Flag("use_quant_conv", true),
        PostQuantConvolution = config.Flag("use_post_quant_conv", true),
        ScalingFactor = config.Number("scaling_factor", 0.18215),
        ShiftFactor = config.Number("shift_factor", 0.0),
        LatentsMean = config.Numbers("latents_mean"),
        LatentsStd = config.Numbers("latents_std"),
    });

    public ModelConfig? Describe(nn.Module network)
    {
        if (network is not AutoencoderKL { Options: var options })
            return null;
        var settings = ConvolutionalBodyMapping.Write(options.Body);
        settings["force_upcast"] = true;
        settings["latents_mean"] = ConfigJson.List(options.LatentsMean);
        settings["latents_std"] = ConfigJson.List(options.LatentsStd);
        settings["scaling_factor"] = options.ScalingFactor;
        settings["shift_factor"] = options.ShiftFactor == 0.0 ? null : options.ShiftFactor;
        settings["use_post_quant_conv"] = options.PostQuantConvolution;
        settings["use_quant_conv"] = options.QuantConvolution;
        return ConfigJson.Of(ClassName, settings);
    }
}

/// <summary>The mapping of VQModel.</summary>
internal sealed class VQModelMapping : IModelMapping
{
    public string ClassName => "VQModel";

    public nn.Module Create(ModelConfig config)
    {
        var norm = config.Text("norm_type", "group");
        return new VQModel(new VQModelOptions
        {
            Body = ConvolutionalBodyMapping.Read(config, latentChannels: 3),
            Codes = config.Whole("num_vq_embeddings", 256),
            CodeWidth = config.WholeOrNull("vq_embed_dim"),
            SpatialNorm = norm switch
            {
                "group" => false,
                "spatial" => true,
                _ => throw config.Unsupported("norm_type"),
            },
            LookupFromCodebook = config.Flag("lookup_from_codebook", false),
            ScalingFactor = config.Number("scaling_factor", 0.18215),
        });
    }

    public ModelConfig? Describe(nn.Module network)
    {
        if (network is not VQModel { Options: var options })
            return null;
        if (options.AverageDecay is not null)
            throw ConfigJson.NotThere(ClassName, nameof(options.AverageDecay), options.AverageDecay);
        var settings = ConvolutionalBodyMapping.Write(options.Body);
        settings["force_upcast"] = false;
        settings["lookup_from_codebook"] = options.LookupFromCodebook;
        settings["norm_type"] = options.SpatialNorm ? "spatial" : "group";
        settings["num_vq_embeddings"] = options.Codes;
        settings["scaling_factor"] = options.ScalingFactor;
        settings["vq_embed_dim"] = options.CodeWidth;
        return ConfigJson.Of(ClassName, settings);
    }
}

/// <summary>Converts the settings that the image autoencoders of diffusers have in common.</summary>
internal static class ConvolutionalBodyMapping
{
    /// <summary>Returns the encoder and decoder options of a configuration.</summary>
    public static ConvolutionalBody Read(ModelConfig config, int latentChannels)
    {
        // The image size used in training and the precision of arithmetic do not affect the network.
        config.Ignore("sample_size", "force_upcast");
        var widths = config.Wholes("block_out_channels") ?? [64];
        return new ConvolutionalBody
        {
            Channels = config.Whole("in_channels", 3),
            OutChannels = config.Whole("out_channels", 3),
            Widths = widths,
            LayersPerBlock = config.Whole("layers_per_block", 1),
            LatentChannels = config.Whole("latent_channels", latentChannels),
            Groups = config.Whole("norm_num_groups", 32),
            MiddleAttention = config.Flag("mid_block_add_attention", true),
            EncoderAttentionLevels = Attending(config, "down_block_types", "EncoderBlock2D", "Down", widths.Length, reverse: false),
            DecoderAttentionLevels = Attending(config, "up_block_types", "DecoderBlock2D", "Up", widths.Length, reverse: true),
            Activation = ConfigJson.ActivationOf(config),
        };
    }

    /// <summary>Returns the settings of an encoder and a decoder.</summary>
    public static JsonObject Write(ConvolutionalBody body, int sampleSize = 32) => new()
    {
        ["act_fn"] = ConfigJson.NameOf(body.Activation),
        ["block_out_channels"] = ConfigJson.List(body.Widths),
        ["down_block_types"] = ConfigJson.List(Types(body.EncoderAttentionLevels, "DownEncoderBlock2D", body.Widths.Count)),
        ["in_channels"] = body.Channels,
        ["latent_channels"] = body.LatentChannels,
        ["layers_per_block"] = body.LayersPerBlock,
        ["mid_block_add_attention"] = body.MiddleAttention,
        ["norm_num_groups"] = body.Groups,
        ["out_channels"] = body.OutChannels ?? body.Channels,
        ["sample_size"] = sampleSize,
        ["up_block_types"] = ConfigJson.List(Types(body.DecoderAttentionLevels, "UpDecoderBlock2D", body.Widths.Count).Reverse()),
    };

    private static int[] Attending(ModelConfig config, string name, string block, string direction, int levels, bool reverse)
    {
        var types = config.Texts(name) ?? [.. Enumerable.Repeat(direction + block, levels)];
        if (types.Length != levels)
            throw new InvalidDataException(
                Invariant($"{config.Origin}: '{name}' must have a block for each of {levels} levels, got {types.Length}."));
        if (types.Any(type => type != direction + block && type != "Attn" + direction + block))
            throw config.Unsupported(name);
        if (reverse)
            Array.Reverse(types);
        return [.. Enumerable.Range(0, levels).Where(level => types[level].StartsWith("Attn", StringComparison.Ordinal))];
    }

    private static IEnumerable<string> Types(IReadOnlyList<int> attending, string block, int levels)
        => Enumerable.Range(0, levels).Select(level => attending.Contains(level) ? "Attn" + block : block);
}
