using System.Text.Json.Nodes;
using Diffusion.Core.Models;

namespace Diffusion.Core.Interop;

/// <summary>The settings that diffusers' autoencoders of images share.</summary>
internal static class ConvolutionalBodyMapping
{
    /// <summary>The encoder and the decoder of a configuration.</summary>
    public static ConvolutionalBody Read(ModelConfig config, int latentChannels)
    {
        // The size it was trained at, and a type of arithmetic.
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

    /// <summary>The configuration of an encoder and a decoder.</summary>
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
            throw new InvalidDataException($"{config.ClassName}: '{name}' must have a block for each of {levels} levels, got {types.Length}.");
        if (types.Any(type => type != direction + block && type != "Attn" + direction + block))
            throw config.Unsupported(name);
        if (reverse)
            Array.Reverse(types);
        return [.. Enumerable.Range(0, levels).Where(level => types[level].StartsWith("Attn", StringComparison.Ordinal))];
    }

    private static IEnumerable<string> Types(IReadOnlyList<int> attending, string block, int levels)
        => Enumerable.Range(0, levels).Select(level => attending.Contains(level) ? "Attn" + block : block);
}
